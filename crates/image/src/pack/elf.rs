//! What an ELF file says that it needs (ELF gABI, chapter 5: dynamic linking).

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use goblin::elf::Elf;

/// Why a file that begins like an ELF file could not be read as one.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    #[error("could not read it")]
    Io(#[from] io::Error),
    #[error("its ELF headers are broken")]
    Broken(#[from] goblin::error::Error),
}

/// Which objects can be loaded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    wide: bool,
    machine: u16,
}

#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) machine: Machine,
    pub(super) interpreter: Option<PathBuf>,
    pub(super) needed: Vec<String>,
    /// Colon lists, unexpanded.
    pub(super) rpath: Vec<String>,
    pub(super) runpath: Vec<String>,
}

/// What a file is, by its first bytes.
pub(super) enum Kind {
    Elf(Box<Object>),
    /// A script and the program its first line names.
    Script {
        interpreter: PathBuf,
    },
    Other,
}

impl Machine {
    /// Returns the architecture's name in image configs, which is Go's.
    pub(super) fn architecture(self) -> &'static str {
        use goblin::elf::header::{EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64};
        match self.machine {
            EM_X86_64 => "amd64",
            EM_AARCH64 => "arm64",
            EM_386 => "386",
            EM_ARM => "arm",
            EM_RISCV => "riscv64",
            EM_PPC64 => "ppc64le",
            EM_S390 => "s390x",
            _ => host_architecture(),
        }
    }
}

/// Returns this host's architecture as image configs name it.
pub(super) fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Reads what a file is.
pub(super) fn kind(path: &Path) -> Result<Kind, ElfError> {
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(256);
    file.by_ref().take(256).read_to_end(&mut head)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|&b| b == b'\n').next().unwrap_or_default();
        let word = String::from_utf8_lossy(line).split_whitespace().next().map(PathBuf::from);
        return Ok(word.map_or(Kind::Other, |interpreter| Kind::Script { interpreter }));
    }
    if !head.starts_with(b"\x7fELF") {
        return Ok(Kind::Other);
    }
    file.read_to_end(&mut head)?;
    let elf = Elf::parse(&head)?;
    let text = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    Ok(Kind::Elf(Box::new(Object {
        machine: Machine { wide: elf.is_64, machine: elf.header.e_machine },
        interpreter: elf.interpreter.map(PathBuf::from),
        needed: text(&elf.libraries),
        rpath: text(&elf.rpaths),
        runpath: text(&elf.runpaths),
    })))
}
