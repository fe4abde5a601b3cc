//! A timeline as a picture: a row a lane, a bar a piece of work, its label and time on hover.

use std::fmt::Write as _;

use super::{Lane, Timeline};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 60.0;
const ROW: f64 = 30.0;
const BAR: f64 = 22.0;

/// One colour a label, in the order of first appearance; then again from the start.
const COLOURS: [&str; 10] = [
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#ff9da7",
    "#9c755f", "#bab0ac",
];

impl Timeline {
    /// The timeline as an SVG document. `title` says what it shows; that it is predicted is added.
    #[must_use]
    pub fn svg(&self, title: &str) -> String {
        let total = self.total_ms();
        let scale = if total > 0.0 { (WIDTH - LEFT - 10.0) / total } else { 0.0 };
        let height = 40.0 + ROW * Lane::ALL.len() as f64 + 20.0;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<text x=\"10\" y=\"20\">{}: \
             predicted {total:.2} ms</text>\n",
            escape(title)
        );
        // Writing to a string does not fail.
        for lane in Lane::ALL {
            let y = 35.0 + ROW * f64::from(lane as u8);
            let (name, share) = (lane.name(), 100.0 * self.busy_share(lane));
            let _ = writeln!(
                out,
                "<text x=\"10\" y=\"{:.0}\">{name}<title>{share:.0} % busy</title></text>",
                y + 15.0
            );
        }
        let mut labels: Vec<&str> = Vec::new();
        for span in self.spans() {
            let index = labels.iter().position(|label| *label == span.label).unwrap_or_else(|| {
                labels.push(&span.label);
                labels.len() - 1
            });
            let x = LEFT + span.start_ms * scale;
            let y = 35.0 + ROW * f64::from(span.lane as u8);
            let width = (span.ms() * scale).max(0.05);
            let fill = COLOURS[index % COLOURS.len()];
            let label = escape(&span.label);
            let _ = writeln!(
                out,
                "<rect x=\"{x:.2}\" y=\"{y:.0}\" width=\"{width:.2}\" height=\"{BAR}\" \
                 fill=\"{fill}\"><title>{label} {:.3} ms</title></rect>",
                span.ms()
            );
        }
        for tick in 0..=10 {
            let ms = total * f64::from(tick) / 10.0;
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.0}\" font-size=\"10\">{ms:.1}</text>",
                LEFT + ms * scale,
                height - 8.0
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_a_bar() {
        let mut timeline = Timeline::default();
        let a = timeline.push(Lane::Ane, "a < b", 1.0, &[]);
        timeline.push(Lane::Cpu, "c", 1.0, &[a]);
        let svg = timeline.svg("R&D");
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains("a &lt; b 1.000 ms") && svg.contains("R&amp;D: predicted 2.00 ms"));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(!Timeline::default().svg("empty").contains("NaN"));
    }
}
