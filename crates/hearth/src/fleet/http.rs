//! What of the fleet can be changed over HTTP, and by whom: only who can read a file of this user's.
//! Decides nothing about machines.

use super::tuning::{Request, Tunings};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Query, Request as Asked, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path as FilePath,
    sync::Arc,
};

/// File in the data folder with the word that lets a request in; written anew at each start.
pub const TOKEN_FILE: &str = "control.token";
/// Longest request, bytes.
const LONGEST: usize = 4096;

/// The routes. Each wants the token, also from this machine: a web page that a browser here shows, or
/// another user, is no owner.
pub fn routes(tunings: Arc<Tunings>, token: Arc<str>) -> Router {
    Router::new()
        .route(super::tune::PATH, post(begin))
        .route(&format!("{}/{{job}}", super::tune::PATH), get(progress).delete(stop))
        .layer(DefaultBodyLimit::max(LONGEST))
        .layer(from_fn_with_state(token, let_in))
        .with_state(tunings)
}

/// Makes a token and writes it where only this user can read it.
pub fn token(folder: &FilePath) -> io::Result<Arc<str>> {
    let mut random = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let (path, next) = (folder.join(TOKEN_FILE), folder.join(format!("{TOKEN_FILE}.next")));
    // What a crash left there may be readable by others.
    let _ = fs::remove_file(&next);
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&next)?;
    file.write_all(token.as_bytes())?;
    fs::rename(next, path)?;
    Ok(token.into())
}

async fn let_in(State(token): State<Arc<str>>, asked: Asked, next: Next) -> Response {
    let given = asked.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if same(given.as_bytes(), token.as_bytes()) {
        return next.run(asked).await;
    }
    let why = format!("this needs the header Authorization: Bearer and the word in {TOKEN_FILE}\n");
    (StatusCode::UNAUTHORIZED, why).into_response()
}

/// Takes as long for a nearly right token as for a wrong one.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

async fn begin(State(tunings): State<Arc<Tunings>>, Json(asked): Json<Request>) -> Response {
    match tunings.ask(&asked) {
        Ok(begun) => (StatusCode::ACCEPTED, Json(begun)).into_response(),
        Err(why) => (StatusCode::CONFLICT, format!("{why}\n")).into_response(),
    }
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: usize,
}

async fn progress(
    State(tunings): State<Arc<Tunings>>,
    Path(job): Path<u64>,
    Query(After { after }): Query<After>,
) -> Response {
    tunings.progress(job, after).map_or_else(nobody, |progress| Json(progress).into_response())
}

async fn stop(State(tunings): State<Arc<Tunings>>, Path(job): Path<u64>) -> Response {
    if tunings.stop(job) { StatusCode::ACCEPTED.into_response() } else { nobody() }
}

fn nobody() -> Response {
    (StatusCode::NOT_FOUND, "no tuning of that number is known\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_token_is_its_users_alone_and_new_at_each_start() {
        let folder = tempfile::tempdir().unwrap();
        let first = token(folder.path()).unwrap();
        let second = token(folder.path()).unwrap();
        assert!(first.len() == 64 && first != second);
        let path = folder.path().join(TOKEN_FILE);
        assert_eq!(fs::read_to_string(&path).unwrap(), *second);
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn only_the_whole_token_lets_in() {
        assert!(same(b"abc", b"abc"));
        for other in [&b""[..], b"ab", b"abd", b"abcd"] {
            assert!(!same(other, b"abc"));
        }
    }
}
