//! Figures of several rounds, and a row of the table they end up in.

/// The middle of several figures, and how far they spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    pub what: String,
    pub ours: String,
    pub peer: String,
    /// Ours by the peer's.
    pub ratio: Option<f64>,
    pub target: String,
    pub met: bool,
}

impl Spread {
    /// Returns the spread of at least one figure.
    pub fn of(figures: &[f64]) -> Spread {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { at(middle) } else { (at(middle.saturating_sub(1)) + at(middle)) / 2.0 };
        Spread { median, min: at(0), max: at(sorted.len().saturating_sub(1)) }
    }

    /// Writes it as `median unit (min–max)`.
    pub fn shown(&self, unit: &str, digits: usize) -> String {
        let Spread { median, min, max } = self;
        format!("{median:.digits$} {unit} ({min:.digits$}–{max:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_figures_lies_between_the_middle_two() {
        assert_eq!(Spread::of(&[4.0, 1.0, 3.0, 2.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of(&[7.0, 9.0, 8.0]).median, 8.0);
    }
}
