//! HTTP and files: readings, prices and exchange rates from a real server on this machine.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use axum::{Router, routing::get};
use hearth_grid::{
    Hub, Link, Quality, Signal, forecast,
    http::{From, Get, Poll},
    number::{Field, Path},
    price::{Format, Source, Unit},
    rate::Rates,
    series::Layout,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use units::{EnergyPrice, Ratio, UnixTime};

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn until(hub: &Hub, what: &str, mut holds: impl FnMut(&Hub) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds(hub) {
        assert!(Instant::now() < end, "{what}: {:?} {:?}", hub.snapshot(), hub.health());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn field(path: &str) -> Field {
    Field { path: Some(Path::new(path)), ..Field::default() }
}

#[tokio::test]
async fn a_weather_service_tells_what_it_knows_and_the_rest_is_refused() {
    let body = r#"{"current":{"temperature_2m":-3.5,"shortwave_radiation":120,"gone":null}}"#;
    let base = serve(Router::new().route("/weather", get(move || async move { body }))).await;
    let hub = Hub::new(Instant::now());
    let poll = Poll {
        name: "weather".into(),
        get: Get::new(&format!("{base}/weather?from={{from}}&key=s3cret")),
        every: Duration::from_secs(60),
        fields: vec![
            (Signal::Temperature("outdoor".into()), field("current.temperature_2m")),
            (Signal::Irradiance, field("current.shortwave_radiation")),
            (Signal::Temperature("pool".into()), field("current.gone")),
        ],
        quality: Quality::Measured,
    };
    poll.validate().unwrap();
    tokio::spawn(poll.run(hub.clone()));
    until(&hub, "weather", |hub| hub.snapshot().irradiance.is_some()).await;
    let signals = hub.snapshot();
    assert_eq!(signals.temperatures["outdoor"].reading.value.get(), -3.5);
    assert_eq!(signals.temperatures.len(), 1);
    assert_eq!(hub.health()["weather"].refused, 1);
}

#[tokio::test]
async fn an_answer_without_end_and_a_server_error_are_sentences_without_the_token() {
    let long = "x".repeat(3 << 20);
    let router = Router::new().route("/long", get(move || async move { long }));
    let base = serve(router).await;
    for (path, expected) in [("long", "more than 1048576 bytes"), ("none", "404")] {
        let hub = Hub::new(Instant::now());
        let poll = Poll {
            name: "poll".into(),
            get: Get::new(&format!("{base}/{path}?key=s3cret")),
            every: Duration::from_secs(60),
            fields: vec![(Signal::NetPower, Field::default())],
            quality: Quality::Measured,
        };
        tokio::spawn(poll.run(hub.clone()));
        until(&hub, path, |hub| !hub.health().is_empty()).await;
        let Link::Down(sentence) = hub.health()["poll"].link.clone() else { panic!() };
        assert!(sentence.contains(expected) && !sentence.contains("s3cret"), "{sentence}");
    }
}

#[tokio::test]
async fn prices_come_from_a_file_or_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.csv");
    std::fs::write(&file, "time,price\n1800000000,50\n1800003600,-10\n").unwrap();
    let json = r#"{"t":[1800000000,1800003600],"p":[50,-10]}"#;
    let base = serve(Router::new().route("/p", get(move || async move { json }))).await;
    let csv = Layout::Csv { time: "time".into(), value: "price".into() };
    let columns = Layout::JsonColumns { times: Path::new("t"), values: Path::new("p") };
    let mut series = Vec::new();
    for (from, layout) in
        [(From::File(file), csv), (From::Http(Get::new(&format!("{base}/p"))), columns)]
    {
        let hub = Hub::new(Instant::now());
        let unit = Unit::named("EUR/MWh", 1.1, EnergyPrice::per_kwh(0.02).unwrap()).unwrap();
        let source = Source {
            name: "prices".into(),
            from,
            format: Format { layout, unit, step: None },
            every: Duration::from_secs(60),
            quality: Quality::Measured,
        };
        source.validate().unwrap();
        tokio::spawn(source.run(hub.clone()));
        until(&hub, "prices", |hub| hub.snapshot().prices.is_some()).await;
        series.push(hub.snapshot().prices.unwrap().reading.value);
    }
    assert_eq!(series[0], series[1]);
    let cheap = series[0].at(UnixTime(1_800_003_601)).unwrap();
    assert!((cheap.usd_per_mwh() - (20.0 - 11.0)).abs() < 1e-9);
}

#[tokio::test]
async fn a_forecast_is_read_from_a_weather_service_and_outlives_it() {
    let json = r#"{"hourly":{"time":["2036-01-15T08:00","2036-01-15T09:00"],"sun":[100,250]}}"#;
    let base = serve(Router::new().route("/v1", get(move || async move { json }))).await;
    let source = forecast::Source {
        name: "weather".into(),
        of: Signal::Pv,
        from: From::Http(Get::new(&format!("{base}/v1"))),
        layout: Layout::JsonColumns {
            times: Path::new("hourly.time"),
            values: Path::new("hourly.sun"),
        },
        scale: 4.0,
        offset: 0.0,
        step: None,
        every: Duration::from_secs(60),
        quality: Quality::Measured,
    };
    source.validate().unwrap();
    let hub = Hub::new(Instant::now());
    let reading = tokio::spawn(source.run(hub.clone()));
    until(&hub, "a forecast", |hub| hub.snapshot().forecasts.contains_key(&Signal::Pv)).await;
    reading.abort();
    let told = hub.snapshot().forecasts[&Signal::Pv].clone();
    assert_eq!(told.reading.value.at(UnixTime(2_084_000_400)), Some(1000.0));
    assert_eq!(hub.health()["weather"].link, Link::Up);
}

#[tokio::test]
async fn the_price_of_the_present_is_told_from_the_series_and_outlives_its_file() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.csv");
    // The second step begins in two seconds.
    let text = format!("time,price\n{},0.10\n{},0.30\n", now - 3598, now + 2);
    std::fs::write(&file, text).unwrap();
    let layout = Layout::Csv { time: "time".into(), value: "price".into() };
    let unit = Unit::named("$/kWh", 1.0, EnergyPrice::ZERO).unwrap();
    let source = Source {
        name: "prices".into(),
        from: From::File(file.clone()),
        format: Format { layout, unit, step: None },
        every: Duration::from_secs(3600),
        quality: Quality::Measured,
    };
    let hub = Hub::new(Instant::now());
    tokio::spawn(source.run(hub.clone()));
    let price = |hub: &Hub| hub.snapshot().price.map(|told| told.reading.value.usd_per_kwh());
    until(&hub, "the first price", |hub| price(hub) == Some(0.10)).await;
    std::fs::remove_file(&file).unwrap();
    until(&hub, "the next price", |hub| price(hub) == Some(0.30)).await;
}

#[tokio::test]
async fn the_exchange_rate_is_the_median_of_those_that_agree() {
    let router = Router::new()
        .route("/a", get(|| async { r#"{"price":"60000"}"# }))
        .route("/b", get(|| async { r#"{"price":60100}"# }))
        .route("/c", get(|| async { r#"{"price":6}"# }));
    let base = serve(router).await;
    let source = |path: &str| (Get::new(&format!("{base}/{path}")), field("price"));
    let rates = Rates {
        name: "rates".into(),
        sources: vec![source("a"), source("b"), source("c")],
        every: Duration::from_secs(60),
        quorum: 2,
        guard: Ratio::percent(2.0).unwrap(),
        jump: Ratio::percent(10.0).unwrap(),
        manual: None,
    };
    rates.validate().unwrap();
    let hub = Hub::new(Instant::now());
    let name: Arc<str> = "rates".into();
    tokio::spawn(rates.run(hub.clone()));
    until(&hub, "a rate", |hub| hub.snapshot().bitcoin_price.is_some()).await;
    assert_eq!(hub.snapshot().bitcoin_price.unwrap().reading.value.get(), 60_050.0);
    assert_eq!(hub.health()[&name].link, Link::Up);
}
