//! Messages of MQTT and HTTP, and registers: a finite number or a sentence, never a panic.

#![no_main]

use arbitrary::Arbitrary;
use grid::{
    Signal,
    number::{Field, Path},
    register::{Kind, Register, Table, WordOrder, spans},
    sunspec,
};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    path: Option<&'a str>,
    scale: f64,
    offset: f64,
    message: &'a [u8],
    kind: u8,
    low_first: bool,
    address: u16,
    first: u16,
    unknown: Option<u32>,
    model: u16,
    words: Vec<u16>,
}

fuzz_target!(|input: Input<'_>| {
    let Ok(field) = Field::new(input.path.map(Path::new), input.scale, input.offset) else { return };
    if let Ok(number) = field.read(input.message) {
        assert!(number.is_finite());
    }
    let kinds = [Kind::U16, Kind::I16, Kind::U32, Kind::I32, Kind::F32];
    let kind = kinds[usize::from(input.kind) % kinds.len()];
    let order = if input.low_first { WordOrder::LowFirst } else { WordOrder::HighFirst };
    let plain = Register::new(Signal::NetPower, Table::Input, input.address, kind);
    let register = Register { order, field, unknown: input.unknown, ..plain };
    if let Ok(Some(number)) = register.decode(input.first, &input.words) {
        assert!(number.is_finite());
    }
    for span in spans(std::slice::from_ref(&register)) {
        assert!((1..=2).contains(&span.count));
    }
    sunspec::decodes(input.model, &input.words);
});
