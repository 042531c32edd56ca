use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use tower_sealed_session::tools::{self, KeyPurpose};
use zeroize::Zeroizing;

use crate::{
    exit::{Exit, Failure, Outcome},
    keys::Sealing,
    output,
};

/// Print the derived keys as a Tink keyset, for programs in other languages
///
/// The keyset is not encrypted. Anyone who has it can read and forge every session of its purpose. Keep
/// it as you keep the secret.
#[derive(Args)]
pub(crate) struct Keyset {
    /// What the keys are for
    #[arg(long, value_enum, default_value = "cookie")]
    purpose: Purpose,

    /// Print it even if stdout is a terminal
    #[arg(long)]
    show: bool,

    #[command(flatten)]
    app: Sealing,
}

#[derive(Clone, Copy, ValueEnum)]
enum Purpose {
    /// Cookies, of sessions and tickets
    Cookie,
    /// Cookies that are set together with a legacy cookie
    PairedCookie,
    /// The rows of a store
    Store,
}

impl Keyset {
    pub(crate) fn run(self) -> Outcome {
        if io::stdout().is_terminal() && !self.show {
            return Err(Failure::usage(
                "a keyset must be kept as secret as the secret: redirect it to a file that only \
                 its reader can read, or add --show to print it here",
            ));
        }
        self.app.layer()?; // checks the name
        let purpose = match self.purpose {
            Purpose::Cookie => KeyPurpose::Cookie,
            Purpose::PairedCookie => KeyPurpose::PairedCookie,
            Purpose::Store => KeyPurpose::Store,
        };
        let ring = self.app.key_ring()?;
        let keyset = tools::tink_keyset(&ring, self.app.cookie(), &self.app.audience, purpose);
        output::print(&Zeroizing::new(format!("{}\n", *keyset)))?;
        output::note("warning: this keyset is not encrypted. Anyone who has it can forge sessions");
        Ok(Exit::Done)
    }
}
