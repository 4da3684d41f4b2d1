//! Arguments of `pillion principal`, `pillion audit` and `pillion az`.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
#[command(after_help = PRINCIPAL_HELP)]
pub enum PrincipalCommand {
    /// Make a principal and print its id, secret and tenant; the secret is shown this once
    Create(CreateArgs),
    /// List who may log in
    #[command(visible_alias = "ls")]
    List,
    /// Revoke a principal: its secret, tokens and logins are worth nothing from now on
    Revoke {
        /// Its id or name
        principal: String,
    },
    /// Let a login in that waits with a code (`az login --use-device-code`)
    Approve {
        /// The code that the program shows
        code: String,
        /// Who it is to be: an id or a name
        #[arg(long = "as", value_name = "PRINCIPAL")]
        principal: String,
    },
}

const PRINCIPAL_HELP: &str = "\
Examples:
  pillion principal create deploy --role contributor
  pillion principal create viewer --role reader --scope /subscriptions/ID/resourceGroups/shop
  pillion principal create alice --user --role owner
  pillion principal revoke deploy
  pillion principal approve WDJB-MJHT --as alice";

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What to call it; made up where absent
    pub name: Option<String>,
    /// What it may do: everything, everything but deciding about others, or look
    #[arg(long, value_enum, ignore_case = true, default_value = "contributor")]
    pub role: RoleWord,
    /// Where it may: the subscription (where absent), a group, or an app; several are possible
    #[arg(long = "scope", value_name = "ID")]
    pub scopes: Vec<String>,
    /// Make a user, who logs in with `az login -u NAME -p PASSWORD`
    #[arg(long)]
    pub user: bool,
    /// Read the user's password from the first line of standard input instead of making one up
    #[arg(long, requires = "user")]
    pub password_stdin: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleWord {
    Owner,
    Contributor,
    Reader,
}

#[derive(Debug, Args)]
#[command(after_help = AUDIT_HELP)]
pub struct AuditArgs {
    /// Only this resource and what is below it
    pub target: Option<String>,
    /// Go on printing records as they are written
    #[arg(long, short)]
    pub follow: bool,
    /// The newest so many
    #[arg(long, short = 'n', default_value_t = 100, value_name = "N")]
    pub limit: u32,
}

const AUDIT_HELP: &str = "\
Every write through the TLS endpoint is recorded with who did it, and every login, refused ones too.

Examples:
  pillion audit
  pillion audit -f
  pillion audit /subscriptions/ID/resourceGroups/shop --output json";

#[derive(Debug, Subcommand)]
#[command(after_help = AZ_HELP)]
pub enum AzCommand {
    /// Print the variables that point az and the Azure SDKs at this server
    Env {
        /// The shell to write for
        #[arg(long, value_enum, default_value = "sh")]
        shell: Shell,
    },
    /// Make a principal, register this server as a cloud and log az in
    Setup {
        /// What the principal may do
        #[arg(long, value_enum, ignore_case = true, default_value = "owner")]
        role: RoleWord,
    },
}

const AZ_HELP: &str = "\
Examples:
  eval \"$(pillion az env)\"            then `az` in this shell speaks to Pillion
  pillion az env --shell fish | source
  pillion az setup                    and is logged in as well";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Sh,
    Fish,
    Powershell,
}
