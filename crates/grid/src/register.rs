//! Registers of Modbus devices as numbers: type, word order, scale. It never opens a connection.

use crate::{BadSetting, Signal, number::Field};

/// How a number lies in 16-bit registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One register, unsigned.
    U16,
    /// One register, two's complement.
    I16,
    /// Two registers, unsigned.
    U32,
    /// Two registers, two's complement.
    I32,
    /// Two registers, IEEE 754.
    F32,
}

/// Which of two registers comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WordOrder {
    /// The high word, as the Modbus specification has it.
    #[default]
    HighFirst,
    /// The low word.
    LowFirst,
}

/// Which function reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Table {
    /// Holding registers, function 3.
    #[default]
    Holding,
    /// Input registers, function 4.
    Input,
}

/// One line of a register map.
#[derive(Debug, Clone, PartialEq)]
pub struct Register {
    /// What it tells.
    pub signal: Signal,
    /// Which table it is in.
    pub table: Table,
    /// Address as it goes over the wire, from 0.
    pub address: u16,
    /// Its type.
    pub kind: Kind,
    /// The order of its words.
    pub order: WordOrder,
    /// Scale and offset; no path.
    pub field: Field,
    /// A raw value by which the device says that it does not know, such as `0x8000`.
    pub unknown: Option<u32>,
}

impl Kind {
    /// `u16`, `i16`, `u32`, `i32` or `f32`.
    pub fn named(name: &str) -> Result<Self, BadSetting> {
        Ok(match name {
            "u16" => Self::U16,
            "i16" => Self::I16,
            "u32" => Self::U32,
            "i32" => Self::I32,
            "f32" => Self::F32,
            _ => {
                return Err(BadSetting(format!(
                    "there is no register type `{name}`: write u16, i16, u32, i32 or f32"
                )));
            }
        })
    }

    /// How many registers it takes.
    pub fn words(self) -> u16 {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
        }
    }
}

impl Register {
    /// A register at this address, high word first, unscaled.
    pub fn new(signal: Signal, table: Table, address: u16, kind: Kind) -> Self {
        let (order, field) = (WordOrder::default(), Field::default());
        Self { signal, table, address, kind, order, field, unknown: None }
    }

    /// The first address past it.
    pub fn end(&self) -> u32 {
        u32::from(self.address) + u32::from(self.kind.words())
    }

    /// The number in `words`, which begin at address `first`; `None` where the device says that it
    /// does not know.
    pub fn decode(&self, first: u16, words: &[u16]) -> Result<Option<f64>, BadSetting> {
        let short =
            || BadSetting(format!("register {} is not among those that were sent", self.address));
        let at = usize::from(self.address.checked_sub(first).ok_or_else(short)?);
        let raw = match (self.kind.words(), self.order) {
            (1, _) => u32::from(*words.get(at).ok_or_else(short)?),
            (_, order) => {
                let (a, b) = (words.get(at), words.get(at + 1));
                let (a, b) = (*a.ok_or_else(short)?, *b.ok_or_else(short)?);
                let (high, low) = if order == WordOrder::HighFirst { (a, b) } else { (b, a) };
                u32::from(high) << 16 | u32::from(low)
            }
        };
        if self.unknown == Some(raw) {
            return Ok(None);
        }
        let number = match self.kind {
            Kind::U16 | Kind::U32 => f64::from(raw),
            Kind::I16 => f64::from(raw as u16 as i16),
            Kind::I32 => f64::from(raw as i32),
            Kind::F32 => f64::from(f32::from_bits(raw)),
        };
        if number.is_nan() {
            return Ok(None);
        }
        self.field.scaled(number).map(Some)
    }
}

/// A run of registers that one request reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Which table.
    pub table: Table,
    /// The first address.
    pub first: u16,
    /// How many registers, at most 125 (Modbus application protocol 1.1b3, 6.3).
    pub count: u16,
}

/// Most registers that one request may ask for.
const MOST_WORDS: u32 = 125;
/// Unused registers between two used ones that are still read along.
const GAP: u32 = 16;

/// The fewest requests that read all of `registers`, without reading far past what is asked for.
pub fn spans(registers: &[Register]) -> Vec<Span> {
    let mut sorted: Vec<&Register> = registers.iter().collect();
    sorted.sort_by_key(|register| (register.table, register.address));
    let mut spans: Vec<Span> = Vec::new();
    for register in sorted {
        let end = register.end().min(1 << 16);
        if let Some(last) = spans.last_mut().filter(|last| last.table == register.table) {
            let first = u32::from(last.first);
            let reached = first + u32::from(last.count);
            if u32::from(register.address) <= reached + GAP && end - first <= MOST_WORDS {
                last.count = last.count.max((end - first) as u16);
                continue;
            }
        }
        let count = (end - u32::from(register.address)) as u16;
        spans.push(Span { table: register.table, first: register.address, count });
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn register(address: u16, kind: Kind) -> Register {
        Register::new(Signal::NetPower, Table::Holding, address, kind)
    }

    #[test]
    fn each_type_and_word_order_is_read_as_written() {
        use Kind::*;
        use WordOrder::*;
        let pi = std::f32::consts::PI.to_bits();
        let (high, low) = ((pi >> 16) as u16, pi as u16);
        let cases: [(Kind, WordOrder, &[u16], Option<f64>); 8] = [
            (U16, HighFirst, &[0xffff], Some(65535.0)),
            (I16, HighFirst, &[0xffff], Some(-1.0)),
            (U32, HighFirst, &[1, 2], Some(65538.0)),
            (U32, LowFirst, &[1, 2], Some(131_073.0)),
            (I32, LowFirst, &[0xfffe, 0xffff], Some(-2.0)),
            (F32, HighFirst, &[high, low], Some(f64::from(std::f32::consts::PI))),
            (F32, LowFirst, &[low, high], Some(f64::from(std::f32::consts::PI))),
            (F32, HighFirst, &[0x7fc0, 0], None),
        ];
        for (kind, order, words, expected) in cases {
            let register = Register { order, ..register(100, kind) };
            assert_eq!(register.decode(100, words).unwrap(), expected, "{kind:?} {order:?}");
        }
        let unknown = Register { unknown: Some(0x8000), ..register(7, I16) };
        assert_eq!(unknown.decode(5, &[1, 2, 0x8000]).unwrap(), None);
        assert!(register(7, U32).decode(5, &[1, 2, 3]).is_err());
        assert!(register(4, U16).decode(5, &[1]).is_err());
        assert!(Kind::named("u64").is_err());
    }

    proptest! {
        #[test]
        fn every_register_lies_in_a_request_that_a_device_may_answer(
            addresses in proptest::collection::vec((any::<u16>(), any::<bool>()), 1..50),
        ) {
            let kind = |two: bool| if two { Kind::I32 } else { Kind::I16 };
            let all: Vec<Register> = addresses
                .iter()
                .map(|(address, two)| register((*address).min(65_534), kind(*two)))
                .collect();
            let spans = spans(&all);
            for register in &all {
                let read = |span: &&Span| span.first <= register.address
                    && register.end() <= u32::from(span.first) + u32::from(span.count);
                let span = spans.iter().find(read);
                prop_assert!(span.is_some_and(|span| (1..=125).contains(&span.count)));
            }
        }
    }
}
