//! Braiins OS: the public gRPC API on port 50051, as far as pyasic asks. [`call`] is pure; [`serve`]
//! carries it over HTTP/2 without encryption, unary calls only.

use super::{
    Answer, Ask, Effect, View,
    braiins::{self, BOARDS, Braiins, CHIPS},
    braiins_proto as proto, reply,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty, Full, Limited, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response,
    body::Incoming,
    header::{HeaderName, HeaderValue},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::{convert::Infallible, future::Future, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// Port of the API.
pub const PORT: u16 = 50051;
/// How paths begin that are procedures.
pub(super) const PACKAGE: &str = "/braiins.bos.v1.";
/// Longest message taken.
const LONGEST: usize = 64 * 1024;
/// A request must be whole within this.
const PATIENCE: Duration = Duration::from_secs(5);

/// gRPC status codes.
const INVALID: &str = "3";
const UNIMPLEMENTED: &str = "12";
const UNAUTHENTICATED: &str = "16";

/// Answers one procedure; the body is the bare message, and so is the answer's.
pub(super) fn call(
    braiins: &mut Braiins,
    procedure: &str,
    token: Option<&str>,
    body: &[u8],
    view: &View<'_>,
) -> (Answer, Vec<Effect>) {
    if procedure == "AuthenticationService/Login" {
        return (login(braiins, body, view), vec![]);
    }
    if !braiins.knows(token, view) {
        return (refusal(UNAUTHENTICATED, "invalid or missing token"), vec![]);
    }
    let mining = view.machine.setting().mining;
    match procedure {
        "ActionsService/PauseMining" => (good(&flag(!mining)), Braiins::pause(view)),
        "ActionsService/ResumeMining" => (good(&flag(mining)), Braiins::resume(view)),
        "ActionsService/Restart" => {
            (good(&flag(false)), vec![Effect::Rehash(Duration::from_secs(60))])
        }
        "ActionsService/Reboot" => (good(&proto::Empty {}), vec![Effect::Restart]),
        "PerformanceService/SetPowerTarget" => {
            let target = proto::SetPowerTarget::decode(body).ok().and_then(|m| m.power_target);
            match Braiins::target(target.as_ref().map(|power| power.watt), view) {
                Ok(effects) => (good(&proto::PowerTarget { power_target: target }), effects),
                Err(reason) => (refusal(INVALID, &reason), vec![]),
            }
        }
        "ActionsService/SetLocateDeviceStatus" => {
            braiins.locate = proto::Flag::decode(body).is_ok_and(|m| m.flag);
            (good(&flag(braiins.locate)), vec![])
        }
        _ => (tell(braiins, procedure, view), vec![]),
    }
}

/// Serves one connection: each call is given to `handle` as a POST to its path, and the answer's
/// `grpc-status` header becomes the trailer that HTTP/2 wants.
pub async fn serve<S, H, F>(stream: S, handle: H) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Ask) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let handle = handle.clone();
        async move {
            let (parts, body) = request.into_parts();
            let whole = Limited::new(body, LONGEST).collect();
            let body = match tokio::time::timeout(PATIENCE, whole).await {
                Ok(Ok(body)) => body.to_bytes(),
                _ => return Ok::<_, Infallible>(response(refusal(INVALID, "no whole message"))),
            };
            let Some(message) = unframed(body) else {
                return Ok(response(refusal(INVALID, "no whole message")));
            };
            let header = parts.headers.get("authorization");
            let ask = Ask::Http {
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                authorization: header.and_then(|v| v.to_str().ok()).map(str::to_owned),
                body: message.to_vec(),
            };
            Ok(response(handle(ask).await))
        }
    });
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(16)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn tell(braiins: &Braiins, procedure: &str, view: &View<'_>) -> Answer {
    let watts = Some(proto::Power { watt: u64::from(reply::limit_of(view)) });
    match procedure {
        "ActionsService/GetLocateDeviceStatus" => good(&flag(braiins.locate)),
        "PerformanceService/GetActivePerformanceMode" => {
            let target = Some(proto::PowerTarget { power_target: watts });
            let tuner_mode = Some(proto::TunerMode { power_target: target });
            good(&proto::PerformanceMode { tuner_mode })
        }
        "PerformanceService/GetTunerState" => good(&proto::TunerState {
            overall_tuner_state: 5,
            power_target_mode_state: Some(proto::PowerTargetState { current_target: watts }),
        }),
        "MinerService/GetMinerDetails" => good(&details(braiins, view)),
        "MinerService/GetMinerStats" => good(&stats(view)),
        "MinerService/GetHashboards" => {
            let hashboards = (0..BOARDS).map(|n| board(braiins, n, view)).collect();
            good(&proto::Boards { hashboards })
        }
        "MinerService/GetErrors" => good(&proto::Empty {}),
        "CoolingService/GetCoolingState" => good(&cooling(view)),
        "PoolService/GetPoolGroups" => good(&pools(braiins, view)),
        "ConfigurationService/GetMinerConfiguration" => {
            let pools = braiins.pools.iter().enumerate().map(|(n, pool)| proto::PoolConfig {
                uid: format!("pool{n}"),
                url: pool.url.clone(),
                user: pool.user.clone(),
            });
            let group = proto::PoolGroupConfig {
                uid: "0".into(),
                name: "Default".into(),
                quota: Some(proto::Count { value: 1 }),
                pools: pools.collect(),
            };
            let tuner =
                proto::Tuner { enabled: Some(true), tuner_mode: Some(1), power_target: watts };
            good(&proto::Configuration { pool_groups: vec![group], tuner: Some(tuner) })
        }
        _ => refusal(UNIMPLEMENTED, "no such procedure"),
    }
}

fn login(braiins: &mut Braiins, body: &[u8], view: &View<'_>) -> Answer {
    let asked = proto::LoginRequest::decode(body).unwrap_or_default();
    let Some(token) = braiins.login(&asked.username, &asked.password, view) else {
        return refusal(UNAUTHENTICATED, "invalid credentials");
    };
    let timeout_s = braiins::TOKEN_LIFE.as_secs() as u32;
    let message = proto::LoginResponse { token: token.clone(), timeout_s };
    match good(&message) {
        Answer::Http { status, mut headers, body } => {
            headers.push(("authorization", token));
            Answer::Http { status, headers, body }
        }
        other => other,
    }
}

fn details(braiins: &Braiins, view: &View<'_>) -> proto::Details {
    let uptime = view.uptime.as_secs();
    proto::Details {
        uid: braiins.uid.clone(),
        miner_identity: Some(proto::Identity {
            brand: 1,
            name: braiins::MODEL.into(),
            miner_model: braiins::MODEL.into(),
        }),
        platform: 4,
        bos_mode: 4,
        bos_version: Some(proto::Version {
            current: braiins::VERSION.into(),
            major: braiins::VERSION.into(),
            bos_plus: true,
        }),
        hostname: braiins.hostname.clone(),
        mac_address: braiins.mac.clone(),
        system_uptime: uptime,
        sticker_hashrate: rate(view.machine.spec().nominal().hashes_per_second() / 1e9),
        bosminer_uptime_s: uptime,
        system_uptime_s: uptime,
        status: i32::from(Braiins::status(view)),
        kernel_version: "4.9.113".into(),
        psu_info: Some(proto::Supply {
            serial_number: Some(braiins.supply.clone()),
            model_name: Some("APW171215a/c".into()),
        }),
        serial_number: Some(braiins.serial.clone()),
    }
}

fn stats(view: &View<'_>) -> proto::Stats {
    let (ths, watts) = (reply::counted(view), view.output.power.get().round());
    let joules = if ths > 0.0 { watts / ths } else { 0.0 };
    proto::Stats {
        pool_stats: Some(shares(view, true)),
        miner_stats: Some(solver(ths * 1e3, Braiins::nominal_ghs(view))),
        power_stats: Some(proto::PowerStats {
            approximated_consumption: Some(proto::Power { watt: watts as u64 }),
            efficiency: Some(proto::Efficiency { joule_per_terahash: joules }),
        }),
    }
}

fn board(braiins: &Braiins, n: usize, view: &View<'_>) -> proto::Board {
    let part = |whole: f64| whole / BOARDS as f64;
    let chip = view.output.chip.get();
    let degrees = |celsius| Some(proto::Degrees { celsius });
    proto::Board {
        id: (n + 1).to_string(),
        enabled: true,
        chips_count: Some(proto::Count { value: CHIPS }),
        current_voltage: rate(13.7),
        current_frequency: rate(view.output.clock.get() * 1e6),
        highest_chip_temp: Some(proto::Sensor { location: 1, temperature: degrees(chip) }),
        board_temp: degrees(chip - 15.0),
        stats: Some(solver(part(reply::counted(view) * 1e3), part(Braiins::nominal_ghs(view)))),
        model: Some("A3HB70601".into()),
        serial_number: Some(braiins.boards[n].clone()),
    }
}

fn cooling(view: &View<'_>) -> proto::Cooling {
    let duty = view.machine.setting().fan.get();
    let fan = |n: u32| proto::Fan {
        position: Some(n),
        rpm: (duty * braiins::RPM).round() as u32,
        target_speed_ratio: Some(duty),
    };
    let temperature = Some(proto::Degrees { celsius: view.output.chip.get() });
    proto::Cooling {
        fans: (0..4).map(fan).collect(),
        highest_temperature: Some(proto::Sensor { location: 1, temperature }),
    }
}

fn pools(braiins: &Braiins, view: &View<'_>) -> proto::PoolGroups {
    let pools = braiins.pools.iter().enumerate().map(|(n, pool)| proto::Pool {
        uid: format!("pool{n}"),
        url: pool.url.clone(),
        user: pool.user.clone(),
        enabled: true,
        alive: n == 0,
        active: n == 0,
        stats: Some(shares(view, n == 0)),
    });
    let quota = Some(proto::Count { value: 1 });
    let group = proto::PoolGroup { name: "Default".into(), quota, pools: pools.collect() };
    proto::PoolGroups { pool_groups: vec![group] }
}

fn shares(view: &View<'_>, first: bool) -> proto::PoolStats {
    let counted = |n: u64| if first { n } else { 0 };
    proto::PoolStats {
        accepted_shares: counted(view.accepted),
        rejected_shares: counted(view.rejected),
    }
}

fn solver(ghs: f64, nominal: f64) -> proto::Solver {
    let now = || rate(ghs);
    proto::Solver {
        real_hashrate: Some(proto::RealHashrate {
            last_5s: now(),
            last_15s: now(),
            last_30s: now(),
            last_1m: now(),
            last_5m: now(),
            last_15m: now(),
            last_30m: now(),
            last_1h: now(),
            last_24h: now(),
            since_restart: now(),
        }),
        nominal_hashrate: rate(nominal),
        error_hashrate: Some(proto::Megahash { per_second: 0.0 }),
    }
}

fn rate(per_second: f64) -> Option<proto::Gigahash> {
    Some(proto::Gigahash { per_second })
}

fn flag(flag: bool) -> proto::Flag {
    proto::Flag { flag }
}

fn good(message: &impl Message) -> Answer {
    let headers = vec![("grpc-status", "0".to_owned())];
    Answer::Http { status: 200, headers, body: message.encode_to_vec() }
}

fn refusal(code: &'static str, reason: &str) -> Answer {
    let headers = vec![("grpc-status", code.to_owned()), ("grpc-message", reason.to_owned())];
    Answer::Http { status: 200, headers, body: vec![] }
}

/// The message behind the five bytes that say how long it is.
fn unframed(mut body: Bytes) -> Option<Bytes> {
    if body.remaining() < 5 || body.get_u8() != 0 {
        return None;
    }
    let length = body.get_u32() as usize;
    (body.remaining() == length).then_some(body)
}

fn response(answer: Answer) -> Response<BoxBody<Bytes, Infallible>> {
    let Answer::Http { status, headers, body } = answer else {
        return response(refusal(UNIMPLEMENTED, "no answer"));
    };
    let (mut first, mut last) = (HeaderMap::new(), HeaderMap::new());
    for (name, value) in headers {
        let Ok(value) = HeaderValue::from_str(&value) else { continue };
        let map = if name.starts_with("grpc-") { &mut last } else { &mut first };
        map.insert(HeaderName::from_static(name), value);
    }
    first.insert("content-type", HeaderValue::from_static("application/grpc"));
    let good = last.get("grpc-status").is_some_and(|code| code == "0");
    let mut framed = BytesMut::with_capacity(body.len() + 5);
    framed.put_u8(0);
    framed.put_u32(body.len() as u32);
    framed.put_slice(&body);
    let trailers = std::future::ready(Some(Ok(last)));
    let whole = match good {
        true => Full::new(framed.freeze()).with_trailers(trailers).boxed(),
        false => Empty::new().with_trailers(trailers).boxed(),
    };
    let mut response = Response::new(whole);
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    *response.headers_mut() = first;
    response
}

#[cfg(test)]
mod tests;
