//! How difficulty really grew.

/// A year's growth of Bitcoin's difficulty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct YearOfGrowth {
    /// From the first of January to the last of December.
    pub year: u16,
    /// Difficulty at the end over difficulty at the start.
    pub factor: f64,
}

/// From the difficulty in block headers; the other years are not on record here.
pub const GROWTH_BY_YEAR: [YearOfGrowth; 8] = [
    YearOfGrowth { year: 2010, factor: 12_245.0 },
    YearOfGrowth { year: 2011, factor: 80.0 },
    YearOfGrowth { year: 2013, factor: 396.0 },
    YearOfGrowth { year: 2014, factor: 34.4 },
    YearOfGrowth { year: 2017, factor: 6.05 },
    YearOfGrowth { year: 2023, factor: 2.04 },
    YearOfGrowth { year: 2024, factor: 1.52 },
    YearOfGrowth { year: 2025, factor: 1.35 },
];

/// The largest growth in any 365 days since 2015, from 6 September 2017.
pub const LARGEST_SINCE_2015: f64 = 7.7;
