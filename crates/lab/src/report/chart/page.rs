//! The sheet a chart is drawn on: title, legend, axes, and what is drawn between them.
//!
//! It owns where things go, in pixels. It never knows what the values mean.

use super::{
    colour::{GRID, INK},
    scale::Span,
};
use plotters::{
    coord::Shift,
    prelude::*,
    style::{
        FontTransform,
        text_anchor::{HPos, Pos, VPos},
    },
};

pub(super) const WIDTH: i32 = 900;
pub(super) const HEIGHT: i32 = 560;
const MARGIN: i32 = 22;
const TITLE: i32 = 20;
const TEXT: i32 = 15;
const LINE: i32 = 21;

/// What a drawing primitive answers; drawing into a string does not fail.
pub(super) type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The whole sheet.
pub(super) struct Page<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    /// First free row under title and legend.
    top: i32,
}

/// Between the axes, in pixels: `top` is the smaller number.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub left: i32,
    pub right: i32,
    pub top: i32,
    pub bottom: i32,
}

/// Where a text is held.
#[derive(Clone, Copy)]
pub(super) enum Hold {
    Left,
    Right,
    Middle,
    Upright,
}

impl<'a> Page<'a> {
    /// White, with a title.
    pub(super) fn new(
        svg: &'a mut String,
        title: &str,
    ) -> Result<Self, DrawingAreaErrorKind<std::io::Error>> {
        let backend = SVGBackend::with_string(svg, (WIDTH as u32, HEIGHT as u32));
        let mut page = Self { area: backend.into_drawing_area(), top: MARGIN };
        page.area.fill(&WHITE)?;
        for line in wrap(title, WIDTH - 2 * MARGIN, TITLE) {
            page.top += TITLE / 2;
            page.write(&line, (MARGIN, page.top), Hold::Left, (TITLE, FontStyle::Bold))?;
            page.top += TITLE / 2 + 6;
        }
        Ok(page)
    }

    /// One mark and name after the other, on as many lines as they need.
    pub(super) fn legend(&mut self, entries: &[(RGBColor, &str)]) -> Drawn {
        const MARK: i32 = 26;
        let (mut x, mut y) = (MARGIN, self.top + LINE / 2);
        for (colour, name) in entries {
            let width = MARK + 8 + text_width(name, TEXT);
            if x > MARGIN && x + width > WIDTH - MARGIN {
                (x, y) = (MARGIN, y + LINE);
            }
            self.rectangle((x, y - 4), (x + MARK, y + 4), *colour, 1.0)?;
            self.text(name, (x + MARK + 8, y), Hold::Left)?;
            x += width + 24;
        }
        self.top = y + LINE / 2 + 4;
        Ok(())
    }

    /// The frame that leaves `left` pixels for what is written beside it, and `right` pixels.
    pub(super) fn frame(&self, left: i32, right: i32) -> Frame {
        Frame {
            left: MARGIN + LINE + left + 10,
            right: WIDTH - MARGIN - right,
            top: self.top + 10,
            bottom: HEIGHT - MARGIN - 2 * LINE - 8,
        }
    }

    /// Ticks, grid and label of the horizontal axis.
    pub(super) fn x_axis(&self, frame: Frame, span: &Span, label: &str) -> Drawn {
        let mut free_from = i32::MIN;
        for (value, text) in span.ticks() {
            let Some(x) = frame.x(span, value) else { continue };
            self.line(&[(x, frame.top), (x, frame.bottom)], GRID, 1)?;
            self.line(&[(x, frame.bottom), (x, frame.bottom + 5)], INK, 1)?;
            let half = text_width(&text, TEXT) / 2;
            if x - half > free_from && x + half <= WIDTH {
                self.text(&text, (x, frame.bottom + 16), Hold::Middle)?;
                free_from = x + half + 8;
            }
        }
        self.x_label(frame, label)
    }

    /// Label of the horizontal axis.
    pub(super) fn x_label(&self, frame: Frame, label: &str) -> Drawn {
        let middle = (frame.left + frame.right) / 2;
        let y = HEIGHT - MARGIN + 4 - LINE / 2;
        let half = text_width(label, TEXT) / 2;
        self.text(label, (middle.min(WIDTH - 8 - half).max(half), y), Hold::Middle)
    }

    /// Ticks, grid and label of the vertical axis.
    pub(super) fn y_axis(&self, frame: Frame, span: &Span, label: &str) -> Drawn {
        for (value, text) in span.ticks() {
            let Some(y) = frame.y(span, value) else { continue };
            self.line(&[(frame.left, y), (frame.right, y)], GRID, 1)?;
            self.line(&[(frame.left - 5, y), (frame.left, y)], INK, 1)?;
            self.text(&text, (frame.left - 9, y), Hold::Right)?;
        }
        self.y_label(frame, label)
    }

    /// Label of the vertical axis.
    pub(super) fn y_label(&self, frame: Frame, label: &str) -> Drawn {
        self.text(label, (MARGIN, (frame.top + frame.bottom) / 2), Hold::Upright)
    }

    /// The two axes themselves, over what was drawn.
    pub(super) fn border(&self, frame: Frame) -> Drawn {
        let Frame { left, right, top, bottom } = frame;
        self.line(&[(left, top), (left, bottom), (right, bottom)], INK, 2)
    }

    pub(super) fn text(&self, text: &str, at: (i32, i32), hold: Hold) -> Drawn {
        self.write(text, at, hold, (TEXT, FontStyle::Normal))
    }

    pub(super) fn line(&self, points: &[(i32, i32)], colour: RGBColor, width: u32) -> Drawn {
        self.area.draw(&PathElement::new(points.to_vec(), colour.stroke_width(width)))
    }

    pub(super) fn area(&self, points: Vec<(i32, i32)>, colour: RGBColor, opacity: f64) -> Drawn {
        self.area.draw(&Polygon::new(points, colour.mix(opacity)))
    }

    pub(super) fn rectangle(
        &self,
        from: (i32, i32),
        to: (i32, i32),
        colour: RGBColor,
        opacity: f64,
    ) -> Drawn {
        self.area.draw(&Rectangle::new([from, to], colour.mix(opacity).filled()))
    }

    pub(super) fn dot(&self, at: (i32, i32), colour: RGBColor) -> Drawn {
        self.area.draw(&Circle::new(at, 4, colour.filled()))
    }

    /// Ends the document.
    pub(super) fn end(self) -> Drawn {
        self.area.present()
    }

    fn write(
        &self,
        text: &str,
        at: (i32, i32),
        hold: Hold,
        (size, weight): (i32, FontStyle),
    ) -> Drawn {
        let h_pos = match hold {
            Hold::Left => HPos::Left,
            Hold::Right => HPos::Right,
            Hold::Middle | Hold::Upright => HPos::Center,
        };
        // The backend draws a font of size s with s / 1.24 pixels.
        let font = FontDesc::new(FontFamily::SansSerif, f64::from(size) * 1.24, weight);
        let font = match hold {
            Hold::Upright => font.transform(FontTransform::Rotate270),
            _ => font,
        };
        let style = TextStyle::from(font).color(&INK).pos(Pos::new(h_pos, VPos::Center));
        self.area.draw_text(text, &style, at)
    }
}

impl Frame {
    /// Column of a value.
    pub(super) fn x(self, span: &Span, value: f64) -> Option<i32> {
        let width = f64::from(self.right - self.left);
        span.part(value).map(|part| self.left + (part * width).round() as i32)
    }

    /// Row of a value.
    pub(super) fn y(self, span: &Span, value: f64) -> Option<i32> {
        let height = f64::from(self.bottom - self.top);
        span.part(value).map(|part| self.bottom - (part * height).round() as i32)
    }
}

/// Room for the ticks of a span, in pixels.
pub(super) fn ticks_width(span: &Span) -> i32 {
    span.ticks().iter().map(|(_, text)| text_width(text, TEXT)).max().unwrap_or(0)
}

/// Room for the widest of these, in pixels.
pub(super) fn widest<'t>(texts: impl IntoIterator<Item = &'t String>) -> i32 {
    texts.into_iter().map(|text| text_width(text, TEXT)).max().unwrap_or(0)
}

/// Lines of text no wider than `width` pixels, as long as no word is.
pub(super) fn wrapped(text: &str, width: i32) -> Vec<String> {
    wrap(text, width, TEXT)
}

/// Height of a line of text.
pub(super) const fn line_height() -> i32 {
    LINE - 3
}

fn wrap(text: &str, width: i32, size: i32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

/// An upper estimate: which sans-serif the viewer has is not known.
fn text_width(text: &str, size: i32) -> i32 {
    let ems: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | 'I' | '.' | ',' | '\'' | ' ' | ':' | '|' => 0.36,
            'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 0.95,
            'A'..='Z' => 0.7,
            _ => 0.62,
        })
        .sum();
    (ems * f64::from(size)).ceil() as i32
}
