//! Accuracy on every era, update by update, as a picture.

use super::chart;
use crate::api::types::LearningHistory;
use anyhow::{Result, anyhow};
use plotters::prelude::*;

const SIZE: (u32, u32) = (860, 360);

/// An SVG: a line for each era of the version in service, over the updates that led to it. None with fewer than two updates.
pub fn curves(history: &LearningHistory) -> Result<Option<String>> {
    let updates = history.eras.len();
    if updates < 2 {
        return Ok(None);
    }
    let mut svg = String::new();
    draw(history, &mut svg).map_err(|e| anyhow!("the curves could not be drawn: {e}"))?;
    Ok(Some(svg))
}

fn draw(history: &LearningHistory, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let updates = history.eras.len();
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..(updates - 1) as f64, 0.0..1.0)?;
    let run = |x: &f64| {
        let whole = x.fract() == 0.0;
        let run = history.eras.get(*x as usize).filter(|_| whole);
        run.map_or(String::new(), |run| format!("run {run}"))
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(updates.min(20))
        .x_label_formatter(&run)
        .y_label_formatter(&chart::percent)
        .draw()?;
    for (era, run) in history.eras.iter().enumerate() {
        let points: Vec<(f64, f64)> = history.matrix[era..]
            .iter()
            .enumerate()
            .filter_map(|(after, row)| Some(((era + after) as f64, row[era]?)))
            .collect();
        let colour = chart::colour(era, updates);
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
        chart
            .draw_series(line)?
            .label(format!("items of run {run}"))
            .legend(chart::sample(colour));
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart::labels(&mut chart)?;
    root.present()?;
    Ok(())
}
