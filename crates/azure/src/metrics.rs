//! Metrics as `az monitor` asks for them, from what the [`crate::meter`] keeps.

use std::collections::BTreeMap;

use pillion_arm::{ArmError, PlanRoom, ResourceId, ResourceKind, plan_room};
use pillion_identity::{Access, Caller};
use pillion_model::AppName;
use serde_json::{Value, json};

use crate::{
    Azure,
    meter::{EVERY, MINUTE_MS, Point},
    names::public_name,
    service::{allow, wall_ms},
};

/// Points in one answer and one series.
const MOST: u64 = 1_440;

impl Azure {
    /// Gives metrics of a site or a plan over a time span.
    ///
    /// # Errors
    /// 400 (an unknown metric or time), 403, 404.
    pub async fn metrics(
        &self,
        caller: &Caller,
        id: &ResourceId,
        names: &str,
        timespan: &str,
        interval: &str,
        aggregation: &str,
    ) -> Result<Value, ArmError> {
        let definitions = self.measured(caller, id)?;
        let now = wall_ms();
        let (from, to) = span(timespan, now)?;
        let step = minutes(interval)?;
        let (apps, room): (Vec<AppName>, Option<PlanRoom>) = match id.kind() {
            ResourceKind::Plan => {
                let apps = self.index().on_plan(id).iter().filter_map(public_name).collect();
                (apps, self.peek(id).and_then(|plan| plan_room(&plan)))
            }
            _ => (public_name(id).into_iter().collect(), None),
        };
        let wanted: Vec<&Metric> = match names.trim() {
            "" => definitions.iter().collect(),
            names => names
                .split(',')
                .map(|name| {
                    let name = name.trim();
                    definitions.iter().find(|metric| metric.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
                        let known: Vec<&str> = definitions.iter().map(|metric| metric.name).collect();
                        let message =
                            format!("Failed to find metric configuration for metric: {name}. Valid metrics: {}", known.join(","));
                        ArmError::new(400, "BadRequest", message)
                    })
                })
                .collect::<Result<_, _>>()?,
        };
        let mut once = std::collections::BTreeSet::new();
        let all = self.shared.meter.lock();
        let mut value = Vec::new();
        for metric in wanted.into_iter().filter(|metric| once.insert(metric.name)) {
            let word = aggregation.split(',').map(str::trim).find(|word| !word.is_empty()).unwrap_or(metric.aggregation);
            let mut data = Vec::new();
            let mut at = from / MINUTE_MS / step * step;
            while at * MINUTE_MS < to && (data.len() as u64) < MOST {
                let points = apps
                    .iter()
                    .filter_map(|app| all.get(app))
                    .flat_map(|series| series.points.iter().filter(|point| (at..at + step).contains(&point.minute)));
                let points: Vec<Point> = match room {
                    Some(_) => together(points),
                    None => points.copied().collect(),
                };
                data.push(datum(metric, word, at, &points, room));
                at += step;
            }
            value.push(json!({
                "id": format!("{id}/providers/Microsoft.Insights/metrics/{}", metric.name),
                "type": "Microsoft.Insights/metrics",
                "name": { "value": metric.name, "localizedValue": metric.shown },
                "displayDescription": metric.shown,
                "unit": metric.unit,
                "timeseries": [{ "metadatavalues": [], "data": data }],
                "errorCode": "Success",
            }));
        }
        Ok(json!({
            "cost": 0,
            "timespan": format!("{}/{}", moment(from), moment(to)),
            "interval": format!("PT{step}M"),
            "value": value,
            "namespace": id.type_name(),
            "resourceregion": crate::settings::LOCATION,
        }))
    }

    /// Says which metrics there are.
    ///
    /// # Errors
    /// 403, 404.
    pub fn metric_definitions(&self, caller: &Caller, id: &ResourceId) -> Result<Vec<Value>, ArmError> {
        let definitions = self.measured(caller, id)?;
        Ok(definitions
            .iter()
            .map(|metric| {
                json!({
                    "id": format!("{id}/providers/microsoft.insights/metricdefinitions/{}", metric.name),
                    "resourceId": id.to_string(),
                    "namespace": id.type_name(),
                    "category": id.type_name(),
                    "name": { "value": metric.name, "localizedValue": metric.shown },
                    "displayDescription": metric.shown,
                    "isDimensionRequired": false,
                    "unit": metric.unit,
                    "primaryAggregationType": metric.aggregation,
                    "supportedAggregationTypes": ["None", "Average", "Minimum", "Maximum", "Total", "Count"],
                    "metricAvailabilities": [{ "timeGrain": "PT1M", "retention": "PT6H" }],
                    "dimensions": [],
                })
            })
            .collect())
    }

    fn measured(&self, caller: &Caller, id: &ResourceId) -> Result<&'static [Metric], ArmError> {
        allow(caller, Access::Read, id)?;
        self.known_subscription(id)?;
        match id.kind() {
            ResourceKind::Plan if self.peek(id).is_some() => Ok(&PLAN_METRICS),
            ResourceKind::Site | ResourceKind::Slot if self.public_name_of(id).is_ok() => Ok(&METRICS),
            _ => Err(self.absent(id)),
        }
    }
}

struct Metric {
    name: &'static str,
    shown: &'static str,
    unit: &'static str,
    aggregation: &'static str,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Cpu,
    Memory,
    Requests,
    Class(usize),
    ResponseTime,
    /// Of what a plan's instances have together, in percent.
    CpuShare,
    MemoryShare,
}

const PLAN_METRICS: [Metric; 2] = [
    Metric { name: "CpuPercentage", shown: "CPU Percentage", unit: "Percent", aggregation: "Average", what: What::CpuShare },
    Metric {
        name: "MemoryPercentage",
        shown: "Memory Percentage",
        unit: "Percent",
        aggregation: "Average",
        what: What::MemoryShare,
    },
];

const METRICS: [Metric; 9] = [
    Metric { name: "CpuTime", shown: "CPU Time", unit: "Seconds", aggregation: "Total", what: What::Cpu },
    Metric { name: "MemoryWorkingSet", shown: "Memory working set", unit: "Bytes", aggregation: "Average", what: What::Memory },
    Metric {
        name: "AverageMemoryWorkingSet",
        shown: "Average memory working set",
        unit: "Bytes",
        aggregation: "Average",
        what: What::Memory,
    },
    Metric { name: "Requests", shown: "Requests", unit: "Count", aggregation: "Total", what: What::Requests },
    Metric { name: "Http2xx", shown: "Http 2xx", unit: "Count", aggregation: "Total", what: What::Class(0) },
    Metric { name: "Http3xx", shown: "Http 3xx", unit: "Count", aggregation: "Total", what: What::Class(1) },
    Metric { name: "Http4xx", shown: "Http 4xx", unit: "Count", aggregation: "Total", what: What::Class(2) },
    Metric { name: "Http5xx", shown: "Http Server Errors", unit: "Count", aggregation: "Total", what: What::Class(3) },
    Metric {
        name: "HttpResponseTime",
        shown: "Response Time",
        unit: "Seconds",
        aggregation: "Average",
        what: What::ResponseTime,
    },
];

/// One point a minute for all apps of a plan.
fn together<'a>(points: impl Iterator<Item = &'a Point>) -> Vec<Point> {
    let mut minutes: BTreeMap<u64, Point> = BTreeMap::new();
    for point in points {
        let sum = minutes.entry(point.minute).or_insert(Point { minute: point.minute, samples: 1, ..Point::default() });
        // The time that the samples stand for is the same for all.
        let samples = sum.samples.max(point.samples);
        sum.memory_bytes = (held(sum) + held(point)) * f64::from(samples);
        sum.cpu_seconds += point.cpu_seconds;
        sum.samples = samples;
    }
    minutes.into_values().collect()
}

/// Bytes, in the mean of the samples.
fn held(point: &Point) -> f64 {
    point.memory_bytes / f64::from(point.samples.max(1))
}

fn percent(part: f64, of: f64) -> f64 {
    if of > 0.0 { part / of * 100.0 } else { 0.0 }
}

fn datum(metric: &Metric, aggregation: &str, minute: u64, points: &[Point], room: Option<PlanRoom>) -> Value {
    let stamp = moment(minute * MINUTE_MS);
    if points.is_empty() {
        return json!({ "timeStamp": stamp });
    }
    let sum = |of: fn(&Point) -> f64| points.iter().map(of).sum::<f64>();
    let requests = sum(|point| point.requests);
    let room = room.unwrap_or_default();
    let each = |point: &Point| match metric.what {
        What::Cpu => point.cpu_seconds,
        What::Memory => held(point),
        What::CpuShare => percent(point.cpu_seconds, room.cores * EVERY.as_secs_f64() * f64::from(point.samples)),
        What::MemoryShare => percent(held(point), room.memory_bytes as f64),
        What::Requests => point.requests,
        What::Class(class) => point.by_class[class],
        What::ResponseTime if point.requests > 0.0 => point.response_seconds / point.requests,
        What::ResponseTime => 0.0,
    };
    let values: Vec<f64> = points.iter().map(each).collect();
    let total: f64 = values.iter().sum();
    let (field, number) = match aggregation.to_ascii_lowercase().as_str() {
        "total" => ("total", total),
        "minimum" => ("minimum", values.iter().copied().fold(f64::INFINITY, f64::min)),
        "maximum" => ("maximum", values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        "count" => ("count", if requests > 0.0 { requests } else { values.len() as f64 }),
        _ => (
            "average",
            match metric.what {
                What::ResponseTime if requests > 0.0 => sum(|point| point.response_seconds) / requests,
                What::Cpu
                | What::Memory
                | What::Requests
                | What::Class(_)
                | What::ResponseTime
                | What::CpuShare
                | What::MemoryShare => total / values.len() as f64,
            },
        ),
    };
    json!({ "timeStamp": stamp, field: number })
}

fn span(text: &str, now_ms: u64) -> Result<(u64, u64), ArmError> {
    if text.trim().is_empty() {
        return Ok((now_ms.saturating_sub(60 * MINUTE_MS), now_ms));
    }
    let refused =
        || ArmError::new(400, "BadRequest", format!("The time span '{text}' is not START/END or a duration such as PT1H."));
    if let Some(duration) = text.trim().strip_prefix('P') {
        let span: jiff::SignedDuration = format!("P{duration}").parse().map_err(|_| refused())?;
        return Ok((now_ms.saturating_sub(span.as_millis().max(0) as u64), now_ms));
    }
    let (from, to) = text.split_once('/').ok_or_else(refused)?;
    let at = |text: &str| -> Result<u64, ArmError> {
        let plain = text.trim();
        let stamp = plain.parse::<jiff::Timestamp>().or_else(|_| format!("{plain}Z").parse::<jiff::Timestamp>());
        stamp.map(|at| at.as_millisecond().max(0) as u64).map_err(|_| refused())
    };
    let (from, to) = (at(from)?, at(to)?);
    if from > to { Err(refused()) } else { Ok((from, to)) }
}

fn minutes(interval: &str) -> Result<u64, ArmError> {
    if interval.trim().is_empty() {
        return Ok(1);
    }
    let parsed: Result<jiff::SignedDuration, _> = interval.trim().to_ascii_uppercase().parse();
    match parsed {
        Ok(span) if span.as_secs() >= 60 => Ok((span.as_secs() / 60) as u64),
        Ok(_) => Ok(1),
        Err(_) if interval.eq_ignore_ascii_case("P1D") => Ok(1_440),
        Err(_) => Err(ArmError::new(400, "BadRequest", format!("The interval '{interval}' is not a duration such as PT1M."))),
    }
}

fn moment(ms: u64) -> String {
    jiff::Timestamp::from_millisecond(ms as i64).map(|at| at.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_as_az_writes_it() {
        assert_eq!(span("1970-01-01T00:01:00Z/1970-01-01T00:02:00Z", 9).unwrap(), (60_000, 120_000));
        assert_eq!(span("1970-01-01T00:01:00/1970-01-01T00:02:00", 9).unwrap(), (60_000, 120_000));
        assert_eq!(span("PT1M", 70_000).unwrap(), (10_000, 70_000));
        for wrong in ["yesterday", "1970-01-01T00:02:00Z/1970-01-01T00:01:00Z", "P", "/"] {
            assert!(span(wrong, 9).is_err(), "{wrong}");
        }
        assert_eq!((minutes("PT5M").unwrap(), minutes("").unwrap(), minutes("PT1H").unwrap()), (5, 1, 60));
    }

    #[test]
    fn the_mean_response_time_weighs_requests() {
        let busy = Point { samples: 1, requests: 9.0, response_seconds: 0.9, ..Point::default() };
        let slow = Point { samples: 1, requests: 1.0, response_seconds: 1.1, ..Point::default() };
        let metric = METRICS.iter().find(|metric| metric.name == "HttpResponseTime").unwrap();
        assert_eq!(datum(metric, "Average", 1, &[busy, slow], None)["average"], 0.2);
    }

    #[test]
    fn a_plans_share_is_of_what_its_instances_have_together() {
        let room = PlanRoom { cores: 4.0, memory_bytes: 1_000 };
        let one = Point { minute: 1, samples: 3, cpu_seconds: 60.0, memory_bytes: 300.0, ..Point::default() };
        let other = Point { minute: 1, samples: 1, cpu_seconds: 60.0, memory_bytes: 400.0, ..Point::default() };
        let points = together([&one, &other].into_iter());
        let share = |name: &str| {
            let metric = PLAN_METRICS.iter().find(|metric| metric.name == name).unwrap();
            datum(metric, "Average", 1, &points, Some(room))["average"].as_f64().unwrap()
        };
        // 120 of 240 seconds, and 100 + 400 bytes.
        assert_eq!((share("CpuPercentage"), share("MemoryPercentage")), (50.0, 50.0));
    }
}
