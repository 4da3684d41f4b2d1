//! Which resources of a plan may be deployed now: the order of a deployment, decided without doing anything.

use std::collections::{BTreeSet, HashMap};

use pillion_arm_template::Plan;

/// How far one resource of the plan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waits {
        on: usize,
    },
    UnderWay,
    Done,
    Failed,
    /// It waits for one that failed: it will not be deployed.
    Cut,
}

/// The plan as a graph, with what is known of each node.
#[derive(Debug)]
pub(crate) struct Graph {
    stages: Vec<Stage>,
    waiting_for: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
}

impl Graph {
    /// Makes the graph of the active resources; inactive ones are done before anything begins.
    pub(crate) fn of(plan: &Plan) -> Graph {
        let resources = plan.resources();
        let places: HashMap<String, usize> = resources
            .iter()
            .enumerate()
            .filter(|(_, one)| one.active)
            .map(|(at, one)| (one.id.to_ascii_lowercase(), at))
            .collect();
        let edges = resources.iter().map(|one| {
            let on: BTreeSet<usize> =
                one.depends_on.iter().filter_map(|id| places.get(&id.to_ascii_lowercase()).copied()).collect();
            (one.active, on.into_iter().collect())
        });
        Graph::new(edges.collect())
    }

    /// Each node: whether it is to be deployed at all, and the nodes that it waits for.
    fn new(nodes: Vec<(bool, Vec<usize>)>) -> Graph {
        let mut waiting_for = vec![Vec::new(); nodes.len()];
        let mut ready = BTreeSet::new();
        let mut stages = Vec::with_capacity(nodes.len());
        for (at, (active, on)) in nodes.iter().enumerate() {
            if !active {
                stages.push(Stage::Done);
                continue;
            }
            for &before in on {
                waiting_for[before].push(at);
            }
            if on.is_empty() {
                ready.insert(at);
            }
            stages.push(Stage::Waits { on: on.len() });
        }
        Graph { stages, waiting_for, ready }
    }

    /// Takes the next resource that waits for nothing, in the template's order.
    pub(crate) fn take(&mut self) -> Option<usize> {
        let next = self.ready.pop_first()?;
        self.stages[next] = Stage::UnderWay;
        Some(next)
    }

    /// Notes that a resource is deployed: others may be ready now.
    pub(crate) fn done(&mut self, at: usize) {
        self.stages[at] = Stage::Done;
        for next in std::mem::take(&mut self.waiting_for[at]) {
            if let Stage::Waits { on } = &mut self.stages[next] {
                *on -= 1;
                if *on == 0 {
                    self.ready.insert(next);
                }
            }
        }
    }

    /// Notes that a resource failed: what waits for it, directly or not, is cut off.
    pub(crate) fn failed(&mut self, at: usize) {
        self.stages[at] = Stage::Failed;
        let mut cut = std::mem::take(&mut self.waiting_for[at]);
        while let Some(next) = cut.pop() {
            if matches!(self.stages[next], Stage::Waits { .. }) {
                self.stages[next] = Stage::Cut;
                self.ready.remove(&next);
                cut.append(&mut self.waiting_for[next]);
            }
        }
    }

    /// Returns an order in which every resource comes after those that it waits for.
    pub(crate) fn order(mut self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.stages.len());
        while let Some(at) = self.take() {
            order.push(at);
            self.done(at);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diamond() -> Graph {
        // 0 ← 1, 0 ← 2, {1, 2} ← 3; 4 alone; 5 inactive
        Graph::new(vec![(true, vec![]), (true, vec![0]), (true, vec![0]), (true, vec![1, 2]), (true, vec![]), (false, vec![])])
    }

    #[test]
    fn a_resource_is_ready_when_all_that_it_waits_for_are_deployed() {
        let mut graph = diamond();
        assert_eq!((graph.take(), graph.take(), graph.take()), (Some(0), Some(4), None));
        graph.done(0);
        assert_eq!((graph.take(), graph.take(), graph.take()), (Some(1), Some(2), None));
        graph.done(2);
        assert_eq!(graph.take(), None);
        graph.done(1);
        assert_eq!((graph.take(), graph.take()), (Some(3), None));
    }

    #[test]
    fn a_failure_cuts_off_what_waits_for_it_and_nothing_else() {
        let mut graph = diamond();
        assert_eq!((graph.take(), graph.take()), (Some(0), Some(4)));
        graph.done(0);
        assert_eq!((graph.take(), graph.take()), (Some(1), Some(2)));
        graph.failed(1);
        graph.done(2);
        graph.done(4);
        assert_eq!(graph.take(), None);
        assert_eq!(graph.stages[3], Stage::Cut);
    }

    #[test]
    fn an_order_never_puts_a_resource_before_what_it_waits_for() {
        let order = Graph::new(vec![(true, vec![2]), (true, vec![0]), (true, vec![]), (true, vec![1, 2])]).order();
        assert_eq!(order, [2, 0, 1, 3]);
    }
}
