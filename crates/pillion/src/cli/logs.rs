//! Arguments of the verbs that look into a container: `logs` and `exec`.

use std::{str::FromStr, time::Duration};

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = LOGS_HELP)]
pub struct LogsArgs {
    /// The app's name
    pub app: String,
    /// Only this container
    #[arg(long, short, value_name = "CONTAINER")]
    pub container: Option<String>,
    /// Only this instance
    #[arg(long, short, value_name = "INSTANCE")]
    pub instance: Option<String>,
    /// Go on printing lines as they are written
    #[arg(long, short)]
    pub follow: bool,
    /// Only lines written within this time, e.g. 30s, 5m, 2h, 1d
    #[arg(long, value_name = "AGO")]
    pub since: Option<Ago>,
    /// Only the last N lines of each container
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    /// Print the time of each line
    #[arg(long, short)]
    pub timestamps: bool,
}

const LOGS_HELP: &str = "\
Examples:
  pillion logs shop                   every container, each line with its name
  pillion logs shop -c cache -f
  pillion logs shop --since 5m --tail 100
  pillion logs shop --output json     one JSON object a line";

#[derive(Debug, Args)]
#[command(after_help = EXEC_HELP)]
pub struct ExecArgs {
    /// The app's name
    pub app: String,
    /// The container; main where absent
    #[arg(long, short, value_name = "CONTAINER")]
    pub container: Option<String>,
    /// The instance; the oldest ready one where absent
    #[arg(long, short, value_name = "INSTANCE")]
    pub instance: Option<String>,
    /// Give the command a terminal
    #[arg(long, short)]
    pub tty: bool,
    /// Set a variable in the command's environment
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
}

const EXEC_HELP: &str = "\
Exits with the command's own exit code (128 plus the number of the signal that ended it).

Examples:
  pillion exec shop -t -- sh
  pillion exec shop -c cache -- redis-cli INFO
  pillion exec shop -- tar c /data > data.tar";

/// A span of time before now, written as `30s`, `5m`, `2h` or `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ago(pub Duration);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a number and a unit: 30s, 5m, 2h or 1d")]
pub struct AgoError;

impl FromStr for Ago {
    type Err = AgoError;

    fn from_str(given: &str) -> Result<Self, AgoError> {
        let split = given.find(|c: char| !c.is_ascii_digit()).unwrap_or(given.len());
        let (number, unit) = given.split_at(split);
        let number: u64 = number.parse().map_err(|_| AgoError)?;
        let seconds = match unit {
            "s" | "" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return Err(AgoError),
        };
        number.checked_mul(seconds).map(|s| Ago(Duration::from_secs(s))).ok_or(AgoError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        assert_eq!("5m".parse(), Ok(Ago(Duration::from_secs(300))));
        assert_eq!("90".parse(), Ok(Ago(Duration::from_secs(90))));
        for wrong in ["", "m", "5 m", "-5m", "5w", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(wrong.parse::<Ago>(), Err(AgoError), "{wrong}");
        }
    }
}
