//! The engine's helper and supervisor without the rest of the product, and the program in the images of its tests.
//!
//! ```text
//! serve PORT   say hello, listen       idle   say hello, sleep       echo   print $GREETING       cat   repeat the input
//! ```

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    process::ExitCode,
};

fn main() -> ExitCode {
    if let Some(code) = pillion_runtime::helper::door().or_else(pillion_supervisor::door) {
        return code;
    }
    let mut words = std::env::args_os().skip(1);
    let verb = words.next().unwrap_or_default();
    let port = words.next().and_then(|word| word.to_str()?.parse().ok());
    match act(&verb.to_string_lossy(), port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", verb.display());
            ExitCode::FAILURE
        }
    }
}

fn act(verb: &str, port: Option<u16>) -> io::Result<()> {
    match (verb, port) {
        ("serve", Some(port)) => {
            println!("hello");
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?.incoming().for_each(drop);
            Ok(())
        }
        ("idle", None) => {
            println!("hello");
            loop {
                std::thread::park();
            }
        }
        ("echo", None) => {
            println!("{}", std::env::var("GREETING").unwrap_or_default());
            Ok(())
        }
        ("cat", None) => io::copy(&mut io::stdin().lock(), &mut io::stdout().lock()).map(drop),
        ("end", None) => Ok(()),
        _ => Err(io::Error::other("what is that?")),
    }
}
