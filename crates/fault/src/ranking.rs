//! What a fault is worth to those who act on it: whether it can pass by itself, and how much it tells beside others.

use crate::Fault;

impl Fault {
    /// Returns true where trying again changes nothing: the definition, the image or the host must change first.
    pub fn is_certain(&self) -> bool {
        match self {
            Fault::ImageNameInvalid { .. }
            | Fault::ImageNotFound { .. }
            | Fault::ImageTagNotFound { .. }
            | Fault::RegistryLoginRefused { .. }
            | Fault::ImagePlatformMissing { .. }
            | Fault::ImageDigestMismatch { .. }
            | Fault::ImageLayerRefused { .. }
            | Fault::ImageUnsupported { .. }
            | Fault::CommandMissing { .. }
            | Fault::CommandNotExecutable { .. }
            | Fault::CommandWrongFormat { .. }
            | Fault::InterpreterMissing { .. }
            | Fault::LibraryMissing { .. }
            | Fault::NoCommand { .. }
            | Fault::WorkingDirectoryMissing { .. }
            | Fault::UserUnknown { .. }
            | Fault::MountFailed { .. }
            | Fault::VolumeHidesFiles { .. }
            | Fault::DependencyFailed { .. }
            | Fault::SettingMissing { .. }
            | Fault::SettingRefused { .. }
            | Fault::DefinitionRefused { .. }
            | Fault::ComposeNotYetSupported { .. }
            | Fault::CodeNotYetSupported { .. }
            | Fault::IdentityPullNotAvailable { .. }
            | Fault::HostUnsupported { .. }
            | Fault::HostPathRefused { .. } => true,
            Fault::RegistryUnreachable { .. }
            | Fault::RegistryRateLimited { .. }
            | Fault::RegistryTlsFailed { .. }
            | Fault::DiskFull { .. }
            | Fault::StartFailed { .. }
            | Fault::Exited { .. }
            | Fault::PidsLimit { .. }
            | Fault::PortNeverOpened { .. }
            | Fault::OtherPortOpened { .. }
            | Fault::PortTaken { .. }
            | Fault::ProbeStatus { .. }
            | Fault::ProbeSlow { .. }
            | Fault::ProbeRefused { .. }
            | Fault::ProbeExec { .. }
            | Fault::DependencyNeverReady { .. }
            | Fault::ReadOnlyWrite { .. }
            | Fault::NotReadyInTime { .. }
            | Fault::SupervisorLost { .. }
            | Fault::Internal { .. } => false,
        }
    }

    /// How much a fault tells: a cause outranks the symptom it has elsewhere. Higher tells more.
    pub fn weight(&self) -> u8 {
        match self {
            Fault::NotReadyInTime { .. } => 0,
            Fault::SupervisorLost { .. } => 1,
            // Somebody else is to blame.
            Fault::DependencyNeverReady { .. } | Fault::DependencyFailed { .. } => 2,
            Fault::Internal { .. } | Fault::StartFailed { .. } => 3,
            Fault::PortNeverOpened { .. } | Fault::ProbeRefused { .. } => 4,
            Fault::ProbeSlow { .. } | Fault::ProbeStatus { .. } | Fault::ProbeExec { .. } => 5,
            Fault::Exited { .. } => 6,
            Fault::OtherPortOpened { .. } | Fault::PortTaken { .. } | Fault::PidsLimit { .. } | Fault::ReadOnlyWrite { .. } => 7,
            Fault::ImageNameInvalid { .. }
            | Fault::ImageNotFound { .. }
            | Fault::ImageTagNotFound { .. }
            | Fault::RegistryUnreachable { .. }
            | Fault::RegistryRateLimited { .. }
            | Fault::RegistryLoginRefused { .. }
            | Fault::RegistryTlsFailed { .. }
            | Fault::ImagePlatformMissing { .. }
            | Fault::ImageDigestMismatch { .. }
            | Fault::ImageLayerRefused { .. }
            | Fault::ImageUnsupported { .. }
            | Fault::DiskFull { .. }
            | Fault::CommandMissing { .. }
            | Fault::CommandNotExecutable { .. }
            | Fault::CommandWrongFormat { .. }
            | Fault::InterpreterMissing { .. }
            | Fault::LibraryMissing { .. }
            | Fault::NoCommand { .. }
            | Fault::WorkingDirectoryMissing { .. }
            | Fault::UserUnknown { .. }
            | Fault::MountFailed { .. }
            | Fault::VolumeHidesFiles { .. }
            | Fault::SettingMissing { .. }
            | Fault::SettingRefused { .. }
            | Fault::DefinitionRefused { .. }
            | Fault::ComposeNotYetSupported { .. }
            | Fault::CodeNotYetSupported { .. }
            | Fault::IdentityPullNotAvailable { .. }
            | Fault::HostUnsupported { .. }
            | Fault::HostPathRefused { .. } => 8,
        }
    }
}
