//! One record and its bytes: `<128 hex digits of signature> <JSON object>`, a line of a file.
//! It owns what is said and how it is spelled; it never signs and never checks a chain.

use super::key::PublicKey;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use units::{Efficiency, EmissionFactor, NetWattHours, Ratio, UnixTime, WattHours, Work};

/// Longest line, without its end.
pub const MAX_LINE: usize = 4096;
/// What is signed begins with this, so that a signature is never one for another purpose.
pub(crate) const DOMAIN: &[u8] = b"hearth evidence 1\n";
/// Hex digits of an Ed25519 signature.
pub(crate) const SIGNATURE: usize = 128;

const VERSION: u8 = 1;
const MAX_CERTIFICATES: usize = 16;
const MAX_LABEL: usize = 120;
const LONGEST: Duration = Duration::from_secs(86_400);
/// A terawatt-hour: every whole milliwatt-hour up to here survives as an `f64`.
const MOST: f64 = 1e12;
/// What rounding may move, Wh.
const ROUNDING: f64 = 0.01;
/// Year 36812; beyond it a time is a mistake.
const LATEST: u64 = 1 << 40;

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    v: u8,
    /// Counts up by one from 0, through all files.
    pub seq: u64,
    /// SHA-256 of the line before, without its end; zeros in the first.
    pub prev: Hash,
    /// Of the key that signs: the first 8 bytes of the SHA-256 of the public key, in hex.
    pub key: String,
    /// Whose record this is.
    pub site: Label,
    /// What was read.
    pub meter: Label,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// First in each file: the key in force.
    Begin {
        /// The key that signs this record and those that follow.
        public: PublicKey,
    },
    /// The records that follow are signed by another key.
    Rotate {
        /// The key from the next record on.
        public: PublicKey,
    },
    /// What happened in a time.
    Interval(Box<Interval>),
}

/// What happened in a time. Unknown is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its beginning.
    #[serde(with = "unix")]
    pub start: UnixTime,
    /// Its length: whole seconds, up to a day.
    #[serde(with = "seconds")]
    pub seconds: Duration,
    /// How far to trust it.
    pub quality: Quality,
    /// Why it is not metered, where it is not; else why a call has no baseline.
    pub why: Option<Label>,
    /// Drawn through the meter.
    #[serde(rename = "in_milli_wh", with = "milli")]
    pub imported: Option<WattHours>,
    /// Fed out through the meter.
    #[serde(rename = "out_milli_wh", with = "milli")]
    pub exported: Option<WattHours>,
    /// Heat that was used for something.
    #[serde(rename = "heat_milli_wh", with = "milli")]
    pub heat_reused: Option<WattHours>,
    /// Work that a Stratum server verified.
    pub work: Option<AcceptedWork>,
    /// What a kilowatt-hour from the grid emitted.
    pub grid: Option<Grid>,
    /// Certificates that somebody else issued: guarantees of origin, RECs, granular certificates.
    pub certificates: Vec<Label>,
    /// What would have been drawn.
    pub baseline: Option<Baseline>,
    /// What was given up.
    pub delivered: Option<Delivered>,
    /// The call that was answered, or the hash of [rows](super::Rows) that say more.
    pub event: Option<Label>,
    /// What its work proves. Like what follows it is left out where unknown, as in records from before it
    /// was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What was given up since the call began, void intervals left out. Errors within a call do not
    /// average out, so this is not the sum of its intervals' bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Delivered>,
}

/// How far to trust an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Read from the meter at both ends, without a gap.
    Metered,
    /// Part of it was filled in; `why` says how.
    Estimated,
    /// Not to be counted, for or against anybody; `why` says what was missing.
    Void,
}

/// Work that a Stratum server verified.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AcceptedWork {
    /// Accepted shares.
    pub shares: u64,
    /// Expected hashes behind them: the sum of their difficulties times 2^256 / (0xffff << 208).
    #[serde(with = "hashes")]
    pub hashes: Work,
}

/// What accepted work proves of a metered energy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Expected hashes behind the hardest share: easier ones count as parts of it.
    #[serde(rename = "hardest_hashes", with = "hashes")]
    pub hardest: Work,
    /// Of the best machine that there is.
    #[serde(rename = "best_mj_per_th", with = "efficiency")]
    pub best: Efficiency,
    /// The least energy that the work can have taken, with this confidence.
    #[serde(rename = "least_milli_wh", with = "milli_always")]
    pub least: WattHours,
    /// What the site got from its own sun, battery or engine, not through the meter.
    #[serde(rename = "beside_milli_wh", with = "milli")]
    pub beside: Option<WattHours>,
    /// The most that still hashed here during a call, as part of what did before it.
    #[serde(rename = "residual_ppm", with = "ppm_if_known")]
    pub residual: Option<Ratio>,
    /// One-sided, of both bounds.
    #[serde(rename = "confidence_ppm", with = "ppm")]
    pub confidence: Ratio,
}

/// What a kilowatt-hour from the grid emitted, and who says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// CO2 equivalent.
    #[serde(rename = "mg_per_kwh", with = "factor")]
    pub factor: EmissionFactor,
    /// Who published it.
    pub source: Label,
    /// Of the grid, or of what was contracted.
    pub method: Method,
    /// What it is the mean of.
    pub resolution: Resolution,
}

/// The two methods of the GHG Protocol's Scope 2 Guidance (2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The mean of the grid at the place.
    Location,
    /// What contracts and certificates say.
    Market,
}

/// What an emission factor is the mean of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Resolution {
    Hourly,
    Monthly,
    Annual,
}

/// What would have been drawn in this interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// How it was found.
    pub method: Label,
    /// Best estimate.
    #[serde(rename = "milli_wh", with = "milli_always")]
    pub energy: WattHours,
    /// One standard error of it.
    #[serde(rename = "error_milli_wh", with = "milli_always")]
    pub error: WattHours,
}

/// Baseline less metered, with its confidence interval; negative where more was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// Best estimate.
    #[serde(rename = "milli_wh", with = "milli_net")]
    pub energy: NetWattHours,
    /// Lower end.
    #[serde(rename = "low_milli_wh", with = "milli_net")]
    pub low: NetWattHours,
    /// Upper end.
    #[serde(rename = "high_milli_wh", with = "milli_net")]
    pub high: NetWattHours,
    /// How often such an interval holds the truth.
    #[serde(rename = "confidence_ppm", with = "ppm")]
    pub confidence: Ratio,
}

/// SHA-256 of a line.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Hash(pub [u8; 32]);

/// A short name or reference: 1 to 120 printable ASCII characters, neither `"` nor `\`, so that it is
/// spelled the same in every JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Label(String);

/// Why a text is no [`Label`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no name for evidence; use 1 to 120 printable ASCII characters without \" and \\"
)]
pub struct LabelError(String);

/// Why an interval cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Unfit {
    #[error("its length must be whole seconds, from 1 to 86,400")]
    Length,
    #[error("its time is out of reach")]
    Time,
    #[error("an energy in it is above 1 TWh")]
    Energy,
    #[error("its work is above 3e38 hashes, or its hardest share below one")]
    Work,
    #[error("its work takes more energy than was metered")]
    Contradiction,
    #[error("an efficiency of more than 1e6 J/TH, or of less than 1 mJ/TH, is a mistake")]
    Efficiency,
    #[error("an emission factor of more than 1e9 g/kWh is a mistake")]
    Factor,
    #[error("it is called metered without a metered energy")]
    NotMetered,
    #[error("it is not metered and does not say why")]
    NoReason,
    #[error("it is void and still claims a delivery")]
    VoidClaim,
    #[error("its delivery lies outside of its own confidence interval")]
    Bounds,
    #[error("it names more than 16 certificates")]
    Certificates,
}

impl Record {
    pub(crate) fn new(
        seq: u64,
        prev: Hash,
        key: &PublicKey,
        of: (&Label, &Label),
        body: Body,
    ) -> Self {
        let (site, meter) = (of.0.clone(), of.1.clone());
        Self { v: VERSION, seq, prev, key: key.id(), site, meter, body }
    }

    /// The JSON object: fields in the order of `docs/evidence.md`, no spaces.
    pub(crate) fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads a JSON object spelled exactly as [`Record::json`] does; else says why not.
    pub(crate) fn read(json: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        if record.v != VERSION {
            return Err(format!("version {} is not known", record.v));
        }
        if let Body::Interval(interval) = &record.body {
            interval.check().map_err(|e| e.to_string())?;
        }
        let again = record.json().map_err(|e| e.to_string())?;
        if again.as_bytes() != json {
            return Err("it is not spelled in the one way that the format allows".into());
        }
        Ok(record)
    }
}

impl Interval {
    /// One of which nothing is said but why.
    pub fn void(start: UnixTime, seconds: Duration, why: Label) -> Self {
        Self {
            start,
            seconds,
            quality: Quality::Void,
            why: Some(why),
            imported: None,
            exported: None,
            heat_reused: None,
            work: None,
            grid: None,
            certificates: Vec::new(),
            baseline: None,
            delivered: None,
            event: None,
            proof: None,
            call: None,
        }
    }

    /// Whether it can be recorded.
    pub(crate) fn check(&self) -> Result<(), Unfit> {
        let whole = self.seconds.subsec_nanos() == 0;
        if !whole || self.seconds.is_zero() || self.seconds > LONGEST {
            return Err(Unfit::Length);
        }
        if self.start.0 > LATEST {
            return Err(Unfit::Time);
        }
        let baseline = self.baseline.iter().flat_map(|b| [b.energy.get(), b.error.get()]);
        let claims = || self.delivered.iter().chain(&self.call);
        let delivered = claims().flat_map(|d| [d.low.get(), d.high.get()]);
        let proven = self.proof.map(|proof| (proof.least, proof.beside));
        let (least, beside) = (proven.map(|proven| proven.0), proven.and_then(|proven| proven.1));
        let metered = [self.imported, self.exported, self.heat_reused, least, beside];
        let metered = metered.into_iter().flatten().map(WattHours::get);
        if metered.chain(baseline).chain(delivered).any(|wh| wh.abs() > MOST) {
            return Err(Unfit::Energy);
        }
        if self.work.is_some_and(|w| w.hashes.hashes() > 3e38) {
            return Err(Unfit::Work);
        }
        if let Some(proof) = self.proof {
            if !(1.0..=3e38).contains(&proof.hardest.hashes()) {
                return Err(Unfit::Work);
            }
            if !(1e-3..=1e6).contains(&proof.best.joules_per_terahash()) {
                return Err(Unfit::Efficiency);
            }
        }
        if self.grid.as_ref().is_some_and(|g| g.factor.get() > 1e9) {
            return Err(Unfit::Factor);
        }
        match self.quality {
            Quality::Metered if self.imported.is_none() => return Err(Unfit::NotMetered),
            Quality::Metered => {}
            _ if self.why.is_none() => return Err(Unfit::NoReason),
            Quality::Void if claims().next().is_some() => return Err(Unfit::VoidClaim),
            _ => {}
        }
        if claims().any(|d| !(d.low <= d.energy && d.energy <= d.high)) {
            return Err(Unfit::Bounds);
        }
        if self.quality != Quality::Void && self.short() > ROUNDING {
            return Err(Unfit::Contradiction);
        }
        if self.certificates.len() > MAX_CERTIFICATES {
            return Err(Unfit::Certificates);
        }
        Ok(())
    }

    /// By how much its work takes more energy than the site had, Wh; below zero where that is not known.
    fn short(&self) -> f64 {
        let (Some(proof), Some(imported)) = (self.proof, self.imported) else { return -1.0 };
        let Some(beside) = proof.beside else { return -1.0 };
        let exported = self.exported.unwrap_or_default();
        proof.least.get() - (imported.get() - exported.get() + beside.get()).max(0.0)
    }

    /// When it is over.
    pub fn end(&self) -> UnixTime {
        self.start.after(self.seconds)
    }
}

impl Hash {
    /// Before the first record.
    pub const ZERO: Self = Self([0; 32]);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = const_hex::FromHexError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        const_hex::decode_to_array(text).map(Self)
    }
}

impl Label {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl TryFrom<String> for Label {
    type Error = LabelError;
    fn try_from(text: String) -> Result<Self, LabelError> {
        let plain = |b: u8| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\';
        let fits = (1..=MAX_LABEL).contains(&text.len()) && text.bytes().all(plain);
        if fits { Ok(Self(text)) } else { Err(LabelError(text)) }
    }
}

impl std::str::FromStr for Label {
    type Err = LabelError;
    fn from_str(text: &str) -> Result<Self, LabelError> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a quantity is spelled as a whole number.
macro_rules! whole {
    ($name:ident, $quantity:ty, $number:ty, $to:expr, $from:expr) => {
        mod $name {
            use super::*;
            use serde::{Deserializer, Serializer, de::Error};

            pub fn serialize<S: Serializer>(value: &$quantity, to: S) -> Result<S::Ok, S::Error> {
                let number: $number = ($to)(value);
                number.serialize(to)
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$quantity, D::Error> {
                ($from)(<$number>::deserialize(from)?).map_err(D::Error::custom)
            }
        }
    };
}

fn milli_wh(energy: &WattHours) -> u64 {
    (energy.get() * 1e3).round() as u64
}

fn from_milli_wh(milli: u64) -> Result<WattHours, units::UnitError> {
    WattHours::new(milli as f64 / 1e3)
}

whole!(unix, UnixTime, u64, |t: &UnixTime| t.0, |n| Ok::<_, units::UnitError>(UnixTime(n)));
whole!(seconds, Duration, u64, Duration::as_secs, |n| {
    Ok::<_, units::UnitError>(Duration::from_secs(n))
});
whole!(milli_always, WattHours, u64, milli_wh, from_milli_wh);
whole!(
    milli,
    Option<WattHours>,
    Option<u64>,
    |e: &Option<WattHours>| e.as_ref().map(milli_wh),
    |n: Option<u64>| n.map(from_milli_wh).transpose()
);
whole!(
    milli_net,
    NetWattHours,
    i64,
    |e: &NetWattHours| (e.get() * 1e3).round() as i64,
    |n: i64| NetWattHours::new(n as f64 / 1e3)
);
whole!(
    factor,
    EmissionFactor,
    u64,
    |f: &EmissionFactor| (f.get() * 1e3).round() as u64,
    |n: u64| EmissionFactor::grams_per_kwh(n as f64 / 1e3)
);
whole!(ppm, Ratio, u32, |r: &Ratio| (r.get() * 1e6).round() as u32, |n: u32| Ratio::new(
    f64::from(n) / 1e6
));
whole!(
    ppm_if_known,
    Option<Ratio>,
    Option<u32>,
    |r: &Option<Ratio>| r.map(|r| (r.get() * 1e6).round() as u32),
    |n: Option<u32>| n.map(|n| Ratio::new(f64::from(n) / 1e6)).transpose()
);
whole!(
    efficiency,
    Efficiency,
    u64,
    |e: &Efficiency| (e.joules_per_terahash() * 1e3).round() as u64,
    |n: u64| Efficiency::new(n as f64 / 1e3)
);
// A string: most readers of JSON lose digits beyond 2^53.
whole!(hashes, Work, String, |w: &Work| (w.hashes() as u128).to_string(), |n: String| n
    .parse::<u128>()
    .map(|n| Work::from_hashes(n as f64)));
