//! Colours that people with any kind of colour vision can tell apart.

use plotters::style::RGBColor;

/// What is written and ruled.
pub(super) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
/// Lines of the grid.
pub(super) const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
/// A value that is not known.
pub(super) const UNKNOWN: RGBColor = RGBColor(0xc0, 0xc0, 0xc0);

/// The palette of Okabe and Ito (2008) without its yellow, which white paper swallows.
const SERIES: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x00, 0x00, 0x00),
];

/// Every ninth of the cividis map (Nuñez, Anderton and Renslow, 2018).
const CIVIDIS: [(u8, u8, u8); 10] = [
    (0x00, 0x22, 0x4e),
    (0x12, 0x35, 0x70),
    (0x3b, 0x49, 0x6c),
    (0x57, 0x5d, 0x6d),
    (0x70, 0x71, 0x73),
    (0x8a, 0x86, 0x78),
    (0xa5, 0x9c, 0x74),
    (0xc3, 0xb3, 0x69),
    (0xe1, 0xcc, 0x55),
    (0xfe, 0xe8, 0x38),
];

/// Colour of the series with this number; the eighth has the first's again.
pub(super) fn series(number: usize) -> RGBColor {
    SERIES[number % SERIES.len()]
}

/// Dark blue at 0, yellow at 1.
pub(super) fn cividis(part: f64) -> RGBColor {
    let place = part.clamp(0.0, 1.0) * (CIVIDIS.len() - 1) as f64;
    let below = (place.floor() as usize).min(CIVIDIS.len() - 2);
    let (low, high, mix) = (CIVIDIS[below], CIVIDIS[below + 1], place - below as f64);
    let channel = |l: u8, h: u8| (f64::from(l) + mix * (f64::from(h) - f64::from(l))).round() as u8;
    RGBColor(channel(low.0, high.0), channel(low.1, high.1), channel(low.2, high.2))
}
