//! Rows: what the resource manager costs in the server.

use std::process::Command;

use super::{
    figures::{Row, Spread},
    say,
};
use crate::run::{Outcome, output, workspace};

/// Measures the rows.
///
/// # Errors
/// The program that measures does not come to its end.
pub fn measure() -> Outcome<Vec<Row>> {
    say("the resource manager: 1,000 sites listed, a template of 100 sites validated");
    let printed = output(&mut Command::new(workspace().join("target/release/examples/arm")))?;
    let figures =
        |word: &str| -> Vec<f64> { printed.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok()).collect() };
    let (lists, validations) = (figures("list "), figures("validate "));
    if lists.is_empty() || validations.is_empty() {
        return Err(format!("it printed no figures: {printed}"));
    }
    let (list, validation) = (Spread::of(&lists), Spread::of(&validations));
    let p99 = percentile(&lists, 99);
    Ok(vec![
        Row {
            what: "`az webapp list`, 1,000 sites stored: the server's part".to_owned(),
            ours: format!("p99 {p99:.1} ms; {}", list.shown("ms", 1)),
            peer: "–".to_owned(),
            ratio: None,
            target: "p99 < 50 ms".to_owned(),
            met: p99 < 50.0,
        },
        Row {
            what: "a template of 100 sites with a main and a sidecar each, validated and planned".to_owned(),
            ours: validation.shown("ms", 0),
            peer: "–".to_owned(),
            ratio: None,
            target: "< 2 s".to_owned(),
            met: validation.max < 2000.0,
        },
    ])
}

/// The figure that so many of a hundred are not above.
fn percentile(figures: &[f64], percent: usize) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        let figures: Vec<f64> = (1..=300).map(f64::from).collect();
        assert_eq!(percentile(&figures, 99), 297.0);
        assert_eq!(percentile(&[5.0], 99), 5.0);
    }
}
