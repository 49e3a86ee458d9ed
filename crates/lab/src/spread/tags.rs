//! Who signed a coinbase: the marks that pools leave, as data.
//!
//! A mark is a claim: anybody can write any. Blocks and jobs are attributed by it, never proven.

use crate::report::Source;

/// Longest readable text of a coinbase that is kept, in characters.
const MAX_TEXT: usize = 80;

/// Where the table of marks is from.
pub fn source() -> Source {
    Source::Default {
        origin: "github.com/bitcoin-data/mining-pools (MIT), commit 330f61d",
        date: "2025-04",
    }
}

/// (what stands in the coinbase's input script, pool). Marks so short or common that they would be
/// found by chance are left out.
const TAGS: [(&str, &str); 57] = [
    ("/1THash&58COIN/", "1THash"),
    ("/1THash/", "1THash"),
    ("/AntPool/", "AntPool"),
    ("Mined by AntPool", "AntPool"),
    ("/Binance/", "Binance Pool"),
    ("binance.com/", "Binance Pool"),
    ("binance/", "Binance Pool"),
    ("Bitdeer", "Bitdeer"),
    ("BITFARMS", "Bitfarms"),
    ("BitFuFu", "BitFuFu"),
    ("/BitFury/", "BitFury"),
    ("/Bitfury/", "BitFury"),
    ("/slush/", "Braiins Pool"),
    ("/BTC.COM/", "BTC.com"),
    ("/BTC.com/", "BTC.com"),
    ("btccom", "BTC.com"),
    ("/BTC.TOP/", "BTC.TOP"),
    ("/ckpool.org/", "CKPool"),
    ("ckpool", "CKPool"),
    ("/solo.ckpool.org/", "Solo CK"),
    ("/EMCD/", "EMCDPool"),
    ("/one_more_mcd/", "EMCDPool"),
    ("get___emcd", "EMCDPool"),
    ("emcd.io", "EMCDPool"),
    ("七彩神仙鱼", "F2Pool"),
    ("🐟", "F2Pool"),
    ("F2Pool", "F2Pool"),
    ("/2cDw/", "Foundry USA"),
    ("Foundry USA Pool", "Foundry USA"),
    ("/Huobi/", "Huobi Pool"),
    ("/HuoBi/", "Huobi Pool"),
    ("Innopolis", "Innopolis Tech"),
    ("KuCoinPool", "KuCoin Pool"),
    ("/LUXOR/", "Luxor"),
    ("Luxor Tech", "Luxor"),
    ("MARA Pool", "MARA Pool"),
    ("/Mara Pool/", "MARA Pool"),
    ("MARA Made in USA", "MARA Pool"),
    ("/Mining-Dutch/", "Mining-Dutch"),
    ("MiningSquared", "Mining Squared"),
    ("BSquared Network", "Mining Squared"),
    ("/NiceHash/", "NiceHash"),
    ("/NiceHashSolo", "NiceHash"),
    ("OCEAN.XYZ", "Ocean.xyz"),
    ("/poolin", "Poolin"),
    ("/Rawpool.com/", "Rawpool"),
    ("/SBICrypto.com Pool/", "SBI Crypto"),
    ("SBI Crypto", "SBI Crypto"),
    ("SBICrypto", "SBI Crypto"),
    ("SecPool", "SecPool"),
    ("/Sigmapool.com/", "Sigmapool.com"),
    ("SpiderPool", "SpiderPool"),
    ("/ultimus/", "Ultimus Pool"),
    ("/ViaBTC/", "ViaBTC"),
    ("viabtc.com deploy", "ViaBTC"),
    ("WhitePool", "WhitePool"),
    ("/hearth/", "hearth"),
];

/// Pools that are taken to hand out AntPool's templates (mainnet.observer, proxy pools, 2025).
const FRIENDS: [&str; 11] = [
    "AntPool",
    "Poolin",
    "Braiins Pool",
    "Ultimus Pool",
    "Binance Pool",
    "SecPool",
    "Sigmapool.com",
    "Rawpool",
    "Luxor",
    "BTC.com",
    "Mining Squared",
];

/// Who signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tag {
    /// A pool by its name in the table.
    Known(&'static str),
    /// Nobody known.
    Unknown,
}

impl Tag {
    /// The pool, or `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Known(name) => name,
            Self::Unknown => "unknown",
        }
    }
}

/// Who signed a coinbase's input script; the longest mark wins.
pub fn attribute(script_sig: &[u8]) -> Tag {
    TAGS.iter()
        .filter(|(mark, _)| script_sig.windows(mark.len()).any(|w| w == mark.as_bytes()))
        .max_by_key(|(mark, _)| mark.len())
        .map_or(Tag::Unknown, |(_, pool)| Tag::Known(pool))
}

/// The group that a pool is counted with; `None` if it makes its own templates as far as is known.
pub fn friends_of_antpool(pool: &str) -> Option<&'static str> {
    FRIENDS.contains(&pool).then_some("AntPool & friends")
}

/// What a person can read in a coinbase's input script: runs of at least four printable characters,
/// or of fewer if one is too long in UTF-8 to be there by chance.
/// Control characters and what could turn writing round are left out: the text is a stranger's.
pub fn readable(script_sig: &[u8]) -> String {
    let mut text = String::new();
    for chunk in script_sig.utf8_chunks() {
        for run in chunk.valid().split(|c: char| !is_plain(c)) {
            let run = run.trim();
            if run.chars().count() >= 4 || run.chars().any(|c| c.len_utf8() >= 3) {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(run);
            }
        }
    }
    text.chars().take(MAX_TEXT).collect()
}

fn is_plain(c: char) -> bool {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coinbase_is_attributed_by_its_longest_mark() {
        for (script, pool) in [
            (&b"\x03\xa0\x0b\x0e/Foundry USA Pool #dropgold/\x01\x02"[..], "Foundry USA"),
            (b"\x03\xa0\x0b\x0e\x04Mined by AntPool912\x9f", "AntPool"),
            ("\u{3}abc七彩神仙鱼".as_bytes(), "F2Pool"),
            (b"/solo.ckpool.org/", "Solo CK"),
            (b"xx/ckpool.org/", "CKPool"),
            (b"\x03abc/hearth/\x00\x00", "hearth"),
            (b"\x03abc< OCEAN.XYZ >", "Ocean.xyz"),
            (b"\x03\xa0\x0b\x0e", "unknown"),
            (b"", "unknown"),
        ] {
            assert_eq!(attribute(script).name(), pool);
        }
    }

    #[test]
    fn friends_are_pools_of_the_table() {
        for pool in FRIENDS {
            assert!(TAGS.iter().any(|(_, name)| *name == pool), "{pool}");
            assert_eq!(friends_of_antpool(pool), Some("AntPool & friends"));
        }
        assert_eq!(friends_of_antpool("Ocean.xyz"), None);
    }

    #[test]
    fn a_stranger_s_text_cannot_move_the_cursor_or_flood_the_screen() {
        for (script, text) in [
            (&b"\x03\xa0\x0b\x0e/Foundry USA Pool/\x9f\x9a ab"[..], "/Foundry USA Pool/"),
            (b"\x1b[2Jevil\x07tail\x00ok", "[2Jevil tail"),
            (b"\xff\xfe\xfd", ""),
            ("\u{202e}gnp.exe".as_bytes(), "gnp.exe"),
            ("🐟".as_bytes(), "🐟"),
            ("\u{1}ا\u{2}".as_bytes(), ""),
        ] {
            assert_eq!(readable(script), text);
        }
        assert_eq!(readable(&[b'a'; 1000]).len(), MAX_TEXT);
    }
}
