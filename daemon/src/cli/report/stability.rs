//! Accuracy on old examples while updates were trained, as a picture: the stability gap is how far a line falls.

use super::chart;
use crate::api::types::UpdateView;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use wengu_protocol::job::Stability;

const SIZE: (u32, u32) = (860, 300);

/// An SVG: a line for each update that was looked at on the way. None where none was.
pub fn stability(updates: &[UpdateView]) -> Result<Option<String>> {
    let seen = updates
        .iter()
        .filter_map(|update| Some((update.run, update.stability.as_ref()?)));
    let seen: Vec<(u64, &Stability)> = seen.collect();
    if seen.is_empty() {
        return Ok(None);
    }
    let mut svg = String::new();
    draw(&seen, &mut svg).map_err(|e| anyhow!("the way of old work could not be drawn: {e}"))?;
    Ok(Some(svg))
}

fn draw(seen: &[(u64, &Stability)], svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let steps = seen
        .iter()
        .flat_map(|(_, way)| way.points.iter().map(|(step, _)| *step));
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0..steps.max().unwrap_or(0).max(1), 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("optimizer steps")
        .y_label_formatter(&chart::percent)
        .draw()?;
    for (place, (run, way)) in seen.iter().enumerate() {
        let colour = chart::colour(place, seen.len());
        chart
            .draw_series(LineSeries::new(way.points.iter().copied(), colour.stroke_width(2)))?
            .label(format!("run {run}"))
            .legend(chart::sample(colour));
    }
    chart::labels(&mut chart)?;
    root.present()?;
    Ok(())
}
