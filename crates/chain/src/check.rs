//! One look at one node: can it be mined with?

use crate::{
    Network, NodeConfig, Rpc, RpcError, Trouble,
    early::Tip,
    offer::{self, Offer},
    rpc::{read_result, request_body},
};
use bitcoin::BlockHash;
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a healthy node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name and version, `/Satoshi:29.0.0/`; `None` if it may not be asked.
    pub version: Option<String>,
    /// Height of its best block.
    pub height: u32,
    /// Hash of its best block.
    pub tip: BlockHash,
    /// Other nodes it is connected to; `None` if it may not be asked.
    pub peers: Option<u32>,
    /// Its clock less ours in seconds; `None` if that cannot be seen from here.
    pub clock_offset: Option<i64>,
}

/// Asks one node all that mining needs of it, a template included.
///
/// # Errors
/// What stands in the way, and the remedy.
pub async fn check(node: &NodeConfig, network: Network) -> Result<NodeFacts, Trouble> {
    let rpc = Rpc::new(&node.url, node.auth.clone())
        .map_err(|error| Trouble::of_call(&node.url, "url", error))?;
    let tip = look(&rpc, network).await?;
    let about = about(&rpc).await?;
    let offer = fetch(&rpc, network, 0, None).await?;
    Ok(NodeFacts {
        version: about.as_ref().map(|about| about.subversion.clone()),
        height: tip.height,
        tip: tip.hash,
        peers: about.map(|about| about.connections),
        clock_offset: clock_offset(&offer, unix_now()),
    })
}

/// How long the short questions may take. A node that connects a block answers late.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long the node may take to assemble a template.
const TEMPLATE_PATIENCE: Duration = Duration::from_secs(60);
/// A long poll ends with the next block, however late that comes: its caller bounds it.
const LONG_POLL_PATIENCE: Duration = Duration::MAX;
/// Fewer blocks than this behind its headers is a block on its way.
const NEARLY_THERE: u32 = 3;
/// Blocks more than two hours ahead are refused; ten minutes is well before it hurts.
const CLOCK_TOLERANCE: i64 = 600;

/// Whether the node is on the right chain and has all of it; its tip.
pub(crate) async fn look(rpc: &Rpc, network: Network) -> Result<Tip, Trouble> {
    #[derive(Deserialize)]
    struct Blockchain {
        chain: String,
        blocks: u32,
        headers: i64,
        bestblockhash: String,
        initialblockdownload: bool,
        verificationprogress: f64,
    }
    let method = "getblockchaininfo";
    let trouble = |error| Trouble::of_call(rpc.url(), method, error);
    let said: Blockchain = rpc.ask(method, json!([]), PATIENCE).await.map_err(trouble)?;
    if said.chain != network.core_chain_name() {
        return Err(Trouble::WrongNetwork {
            url: rpc.url().into(),
            found: said.chain,
            wanted: network,
        });
    }
    let headers = u32::try_from(said.headers).unwrap_or(0);
    let behind = headers.saturating_sub(said.blocks) >= NEARLY_THERE;
    // A fresh regtest is always in its initial download: its first block is of 2011.
    if network != Network::Regtest && (said.initialblockdownload || behind) {
        return Err(Trouble::Syncing {
            url: rpc.url().into(),
            blocks: said.blocks,
            headers,
            progress: said.verificationprogress,
        });
    }
    let hash = said
        .bestblockhash
        .parse()
        .map_err(|error| trouble(RpcError::Answer(format!("bestblockhash: {error}"))))?;
    Ok(Tip { hash, height: said.blocks })
}

/// What a node says of its program and its peers.
#[derive(Deserialize)]
pub(crate) struct About {
    pub subversion: String,
    pub connections: u32,
}

/// `None` if we may not ask that.
pub(crate) async fn about(rpc: &Rpc) -> Result<Option<About>, Trouble> {
    let method = "getnetworkinfo";
    match rpc.ask(method, json!([]), PATIENCE).await {
        Ok(about) => Ok(Some(about)),
        Err(RpcError::Forbidden | RpcError::Answer(_)) => Ok(None),
        Err(error) => Err(Trouble::of_call(rpc.url(), method, error)),
    }
}

/// Asks for a template; with a long poll, for the one after that.
pub(crate) async fn fetch(
    rpc: &Rpc,
    network: Network,
    coinbase_reserve: u64,
    long_poll: Option<&str>,
) -> Result<Offer, Trouble> {
    let method = "getblocktemplate";
    let trouble = |error| Trouble::of_call(rpc.url(), method, error);
    let patience = match long_poll {
        None => TEMPLATE_PATIENCE,
        Some(_) => LONG_POLL_PATIENCE,
    };
    let body = request_body(method, &offer::request(network, long_poll));
    let answer = rpc.post(body, patience).await.map_err(trouble)?;
    let learned = Instant::now();
    // Milliseconds of work for a full block: not on a thread that other tasks share.
    let read = move || offer::read(&answer, coinbase_reserve, learned);
    let offer = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| trouble(RpcError::Answer(error.to_string())))?
        .map_err(trouble)?;
    match clock_offset(&offer, unix_now()) {
        Some(seconds) if seconds.abs() > CLOCK_TOLERANCE => {
            Err(Trouble::ClockOff { url: rpc.url().into(), seconds })
        }
        _ => Ok(offer),
    }
}

/// Asks for the header of a block; `None` if the node does not know the block.
pub(crate) async fn header(rpc: &Rpc, block: BlockHash) -> Result<Option<Header>, RpcError> {
    let body = request_body("getblockheader", &json!([block.to_string(), true]));
    let answer = rpc.post(body, PATIENCE).await?;
    match read_result(&answer) {
        Err(RpcError::Node { code: RpcError::NOT_FOUND, .. }) => Ok(None),
        other => other.map(Some),
    }
}

/// What `getblockheader` tells.
#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    pub confirmations: i64,
    pub time: u32,
    pub mediantime: u32,
    pub previousblockhash: Option<String>,
}

/// The node's clock less ours, if the template shows it: its time is never earlier than what
/// consensus allows, so a clock that is behind may be further behind than it looks.
pub(crate) fn clock_offset(offer: &Offer, now: u64) -> Option<i64> {
    let offset = offer.clock - i64::try_from(now).unwrap_or(i64::MAX);
    (offer.clock > offer.earliest || offset < 0).then_some(offset)
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
