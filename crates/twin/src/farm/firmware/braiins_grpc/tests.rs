use super::*;
use crate::farm::{Kind, firmware::bench::Bench};
use std::sync::{Arc, Mutex};

struct Signed(Bench, String);

impl Signed {
    fn new() -> Self {
        let mut bench = Bench::new(Kind::BraiinsS21Pro);
        let token = login(&mut bench, "root").expect("the password is right");
        Self(bench, token)
    }

    fn call<M: Message + Default>(
        &mut self,
        procedure: &str,
        message: &impl Message,
    ) -> (String, M) {
        let (headers, body) = ask(&mut self.0, procedure, &self.1, message);
        let code = value(&headers, "grpc-status").expect("every answer has one");
        (code, M::decode(body.as_slice()).expect("a message of this kind"))
    }
}

type Headers = Vec<(&'static str, String)>;

fn ask(
    bench: &mut Bench,
    procedure: &str,
    token: &str,
    message: &impl Message,
) -> (Headers, Vec<u8>) {
    let asked = Ask::Http {
        method: "POST".into(),
        path: format!("{PACKAGE}{procedure}"),
        authorization: (!token.is_empty()).then(|| token.into()),
        body: message.encode_to_vec(),
    };
    match bench.ask(&asked) {
        Answer::Http { status: 200, headers, body } => (headers, body),
        other => panic!("{other:?}"),
    }
}

fn value(headers: &Headers, name: &str) -> Option<String> {
    headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
}

fn login(bench: &mut Bench, password: &str) -> Option<String> {
    let message = proto::LoginRequest { username: "root".into(), password: password.into() };
    let (headers, _) = ask(bench, "AuthenticationService/Login", "", &message);
    value(&headers, "authorization")
}

const NOTHING: proto::Empty = proto::Empty {};

#[test]
fn the_token_comes_in_the_metadata_and_nothing_is_said_without_it() {
    let mut bench = Bench::new(Kind::BraiinsS21Pro);
    assert_eq!(login(&mut bench, "wrong"), None);
    let token = login(&mut bench, "root").unwrap();
    for (token, code) in [("", "16"), ("stale", "16"), (token.as_str(), "0")] {
        let (headers, _) = ask(&mut bench, "MinerService/GetMinerStats", token, &NOTHING);
        assert_eq!(value(&headers, "grpc-status").as_deref(), Some(code));
    }
}

#[test]
fn it_tells_what_the_machine_does() {
    let mut signed = Signed::new();
    let out = signed.0.machine.output();
    let (_, stats): (_, proto::Stats) = signed.call("MinerService/GetMinerStats", &NOTHING);
    let watts = stats.power_stats.unwrap().approximated_consumption.unwrap().watt;
    assert!((watts as f64 - out.power.get()).abs() < 1.0);
    let (_, boards): (_, proto::Boards) = signed.call("MinerService/GetHashboards", &NOTHING);
    let rate = |board: proto::Board| {
        board.stats.unwrap().real_hashrate.unwrap().last_5s.unwrap().per_second
    };
    let ghs: f64 = boards.hashboards.into_iter().map(rate).sum();
    assert!((ghs * 1e9 / out.good.hashes_per_second() - 1.0).abs() < 1e-3);
    let (_, details): (_, proto::Details) = signed.call("MinerService/GetMinerDetails", &NOTHING);
    assert!(details.mac_address.starts_with("02:") && details.status == 2);
    for procedure in [
        "MinerService/GetErrors",
        "CoolingService/GetCoolingState",
        "PoolService/GetPoolGroups",
        "PerformanceService/GetTunerState",
        "ConfigurationService/GetMinerConfiguration",
        "ActionsService/GetLocateDeviceStatus",
    ] {
        let (headers, _) = ask(&mut signed.0, procedure, &signed.1, &NOTHING);
        assert_eq!(value(&headers, "grpc-status").as_deref(), Some("0"), "{procedure}");
    }
    let (headers, _) = ask(&mut signed.0, "MinerService/None", &signed.1, &NOTHING);
    assert_eq!(value(&headers, "grpc-status").as_deref(), Some("12"));
}

#[test]
fn commands_come_true_and_those_out_of_range_do_not() {
    let mut signed = Signed::new();
    let target =
        |watt| proto::SetPowerTarget { save_action: 3, power_target: Some(proto::Power { watt }) };
    let set = "PerformanceService/SetPowerTarget";
    let (code, said): (_, proto::PowerTarget) = signed.call(set, &target(2500));
    assert_eq!((code.as_str(), said.power_target.unwrap().watt), ("0", 2500));
    let (headers, _) = ask(&mut signed.0, set, &signed.1, &target(100));
    assert_eq!(value(&headers, "grpc-status").as_deref(), Some("3"));
    let mode = "PerformanceService/GetActivePerformanceMode";
    let (_, mode): (_, proto::PerformanceMode) = signed.call(mode, &NOTHING);
    let told = mode.tuner_mode.unwrap().power_target.unwrap().power_target.unwrap();
    assert_eq!(told.watt, 2500);
    let (_, was): (_, proto::Flag) = signed.call("ActionsService/PauseMining", &NOTHING);
    assert!(!was.flag && !signed.0.machine.setting().mining);
    let (_, was): (_, proto::Flag) = signed.call("ActionsService/PauseMining", &NOTHING);
    assert!(was.flag);
    signed.call::<proto::Flag>("ActionsService/ResumeMining", &NOTHING);
    assert!(signed.0.machine.setting().mining);
}

#[tokio::test]
async fn over_http_2_the_status_comes_behind_the_message() {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let bench = Arc::new(Mutex::new(Bench::new(Kind::BraiinsS21Pro)));
    let handle = move |ask: Ask| {
        let answer = bench.lock().unwrap().ask(&ask);
        async move { answer }
    };
    tokio::spawn(serve(server, handle));
    let io = TokioIo::new(client);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut post = async |path: &str, message: Vec<u8>| {
        let mut framed = vec![0];
        framed.extend((message.len() as u32).to_be_bytes());
        framed.extend(message);
        let request = Request::post(format!("http://machine{path}"))
            .body(Full::new(Bytes::from(framed)))
            .unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let whole = body.collect().await.unwrap();
        let trailers = whole.trailers().cloned().unwrap();
        (head.headers, whole.to_bytes(), trailers)
    };
    let login = proto::LoginRequest { username: "root".into(), password: "root".into() };
    let path = "/braiins.bos.v1.AuthenticationService/Login";
    let (headers, body, trailers) = post(path, login.encode_to_vec()).await;
    assert_eq!(trailers["grpc-status"], "0");
    let said = proto::LoginResponse::decode(unframed(body).unwrap()).unwrap();
    assert_eq!(headers["authorization"], said.token.as_str());
    let (_, body, trailers) = post("/braiins.bos.v1.MinerService/GetMinerStats", vec![]).await;
    assert_eq!((body.len(), &trailers["grpc-status"]), (0, &HeaderValue::from_static("16")));
}

#[test]
fn a_message_that_is_not_whole_is_none() {
    for (bytes, length) in [
        (vec![0, 0, 0, 0, 0], Some(0)),
        (vec![0, 0, 0, 0, 1, 7], Some(1)),
        (vec![0, 0, 0, 0, 2, 7], None),
        (vec![1, 0, 0, 0, 1, 7], None),
        (vec![0, 255, 255, 255, 255], None),
        (vec![], None),
    ] {
        assert_eq!(unframed(Bytes::from(bytes)).map(|message| message.len()), length);
    }
}
