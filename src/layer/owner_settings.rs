//! The settings about owners: the login page, and the app's check.

use std::time::Duration;

use super::error::ConfigError;
use crate::request::{Check, Config, LoginPage};

/// A longer time would block a request for as long.
const LONGEST: Duration = Duration::from_secs(60);

/// The settings that were made. They are checked in [`set`](Self::set).
#[derive(Default)]
pub(super) struct OwnerSettings {
    pub(super) login_page: Option<String>,
    pub(super) check: Option<Check>,
    pub(super) check_timeout: Option<Duration>,
}

impl OwnerSettings {
    /// Checks the settings, and sets them in a configuration.
    pub(super) fn set(self, config: &mut Config) -> Result<(), ConfigError> {
        if let Some(path) = self.login_page {
            let page = LoginPage::new(&path);
            if page.is_none() {
                return ConfigError::invalid(
                    "login_page",
                    "use a path on this site that `same_site_path` accepts, such as `/login`, \
                     without a fragment",
                );
            }
            config.login_page = page;
        }
        if self.check.is_some() {
            config.check = self.check;
        }
        let Some(limit) = self.check_timeout else {
            return Ok(());
        };
        let Some(check) = &mut config.check else {
            return ConfigError::invalid("check_timeout", "there is no check; first set `check`");
        };
        if !(Duration::from_millis(1)..=LONGEST).contains(&limit) {
            return ConfigError::invalid("check_timeout", "use one millisecond to one minute");
        }
        check.set_limit(limit);
        Ok(())
    }
}
