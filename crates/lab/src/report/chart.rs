//! One picture: lines with bands, bars, or a map of values; always with labelled axes.
//!
//! Colours are those of Okabe and Ito and of the cividis map, which people with any kind of colour
//! vision can tell apart.

mod colour;
mod draw;
mod page;
mod scale;

use crate::LabError;

/// A picture.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn.
    pub content: Content,
}

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Name and unit: `fee, BTC`.
    pub label: String,
    /// How values become lengths.
    pub scale: Scale,
}

/// How values become lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// Each decade the same length; values must be positive.
    Log,
}

/// What a chart draws.
#[derive(Debug, Clone)]
pub enum Content {
    /// Lines over a shared horizontal axis.
    Lines(Vec<Series>),
    /// Horizontal bars from low to high around a base value, the widest on top: what each input's
    /// range does to the outcome. `x` is the outcome; `y` names the inputs.
    Tornado {
        /// The outcome with every input at its base.
        base: f64,
        /// One bar per input.
        bars: Vec<Interval>,
    },
    /// One bar per label, upwards from zero.
    Bars(Vec<(String, f64)>),
    /// A value for every (x, y): rows bottom to top, each with one value per column.
    Map {
        /// Centres of the columns, rising.
        x: Vec<f64>,
        /// Centres of the rows, rising.
        y: Vec<f64>,
        /// `values[row][column]`.
        values: Vec<Vec<f64>>,
        /// Name and unit of the values.
        label: String,
    },
}

/// A named line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// (x, y), x rising.
    pub points: Vec<(f64, f64)>,
    /// (x, low, high) of a band around it; empty for none.
    pub band: Vec<(f64, f64, f64)>,
}

/// A named range.
#[derive(Debug, Clone)]
pub struct Interval {
    /// The input, with the values it takes: `power price 0.05 … 0.12 $/kWh`.
    pub name: String,
    /// The outcome at the input's low value.
    pub low: f64,
    /// The outcome at the input's high value.
    pub high: f64,
}

impl Axis {
    /// An axis of even lengths.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear }
    }

    /// An axis of decades.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log }
    }
}

impl Chart {
    /// An SVG document of 900 by 560, on white. Values that a logarithmic axis cannot show are left
    /// out; a map's unknown values (NaN) are grey.
    pub fn to_svg(&self) -> Result<String, LabError> {
        draw::svg(self)
    }
}

#[cfg(test)]
mod tests;
