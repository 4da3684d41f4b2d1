//! A door to the gateway's role alone, for tests and benchmarks; the product's door is `pillion gateway`.

fn main() -> std::process::ExitCode {
    pillion_gateway::run(std::env::args_os().skip(1))
}
