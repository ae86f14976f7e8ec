//! How all pictures of the page look.

use plotters::chart::ChartContext;
use plotters::coord::CoordTranslate;
use plotters::prelude::*;

/// The colour of one line of so many.
pub fn colour(place: usize, lines: usize) -> HSLColor {
    HSLColor(place as f64 / lines as f64, 0.65, 0.42)
}

/// A share as the axis tells it.
pub fn percent(share: &f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// What a line's label has beside it.
pub fn sample(colour: HSLColor) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
}

/// Draws the labels of the lines.
pub fn labels<'a, C: CoordTranslate>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, C>,
) -> Result<(), Box<dyn std::error::Error>> {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}
