//! Who may ask: bearer tokens with roles, kept as hashes in a file.
//!
//! A line of the file is a name, a role, the SHA-256 of a token in hex, and when it expires, in milliseconds of the
//! epoch, or `never`. A token is 256 random bits: its hash says nothing of it, and needs no salt.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use flott_core::{Error, ErrorKind, Result, Timestamp, WallTime};
use sha2::{Digest, Sha256};

/// What every token begins with; 64 digits follow.
const PREFIX: &str = "flott_";

/// Whether a text has a token in it, or what could be one.
pub(crate) fn has_token(text: &str) -> bool {
    let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    text.split(PREFIX).skip(1).any(|rest| digits(rest) >= 64)
}

/// What somebody may do. Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// Upload binaries, and run, stop and cancel jobs.
    Deployer,
    /// See and do what is the cluster's and not a job's: options, logs, threads.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Deployer, Self::Admin];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|role| role.to_string() == text);
        found.ok_or_else(|| {
            Error::invalid(format!("\"{text}\" is no role: there are viewer, deployer and admin"))
        })
    }
}

/// A token, without what makes it one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose it is.
    pub name: String,
    /// What that one may do.
    pub role: Role,
    /// When it ends.
    pub expires: Option<WallTime>,
    hash: String,
}

/// The file of tokens.
#[derive(Clone, Debug)]
pub struct Tokens(PathBuf);

impl Tokens {
    /// The tokens in this file. It is read anew each time: what is revoked is so at once.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// All of them. There are none if there is no file.
    ///
    /// # Errors
    /// If it cannot be read, others than its owner can read it, or a line is wrong.
    pub fn all(&self) -> Result<Vec<Token>> {
        let io = |e| Error::with_source(ErrorKind::Io, format!("cannot read {}", self.name()), e);
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(e) if e.kind() == IoErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io(e)),
        };
        let mode = fs::metadata(&self.0).map_err(io)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::invalid(format!(
                "{} can be read by others than its owner: chmod 600 it",
                self.name()
            )));
        }
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let parse = |(number, line)| {
            Token::parse(line)
                .map_err(|error| error.context(format!("{}, line {number}", self.name())))
        };
        lines.map(parse).collect()
    }

    /// Adds a token for `name`, made of these random bits; returns it. It cannot be had again.
    ///
    /// # Errors
    /// If there is one for that name, or the file cannot be written.
    pub fn create(
        &self,
        name: &str,
        role: Role,
        expires: Option<WallTime>,
        random: [u8; 32],
    ) -> Result<String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(Error::invalid(format!(
                "\"{name}\" is no name for a token: letters, digits, - _ . @"
            )));
        }
        let _lock = self.lock()?;
        let mut all = self.all()?;
        if all.iter().any(|token| token.name == name) {
            return Err(Error::invalid(format!("{name} has a token: revoke it first")));
        }
        let secret = format!("{PREFIX}{}", hex(&random));
        all.push(Token { name: name.to_owned(), role, expires, hash: hash(&secret) });
        self.write(&all)?;
        Ok(secret)
    }

    /// Deletes the token of `name`.
    ///
    /// # Errors
    /// If there is none, or the file cannot be written.
    pub fn revoke(&self, name: &str) -> Result<()> {
        let _lock = self.lock()?;
        let all = self.all()?;
        let left: Vec<Token> = all.iter().filter(|token| token.name != name).cloned().collect();
        if left.len() == all.len() {
            return Err(Error::invalid(format!("{name} has no token")));
        }
        self.write(&left)
    }

    /// Whose token this is, if it is one now.
    ///
    /// # Errors
    /// As [`Tokens::all`].
    pub(crate) fn find(&self, secret: &str, now: WallTime) -> Result<Option<Token>> {
        // Hashes are compared: how long that takes says nothing of a token.
        let hash = hash(secret);
        let is_it =
            |token: &Token| token.hash == hash && token.expires.is_none_or(|expires| now < expires);
        Ok(self.all()?.into_iter().find(is_it))
    }

    /// Whole or not at all, and never for others to read.
    fn write(&self, all: &[Token]) -> Result<()> {
        let text: String = all.iter().map(|token| format!("{}\n", token.line())).collect();
        let new = self.beside(".new");
        let written = (|| {
            let _ = fs::remove_file(&new);
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            // Whoever writes it, it stays the server's.
            if let Ok(old) = fs::metadata(&self.0) {
                fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
            file.sync_all()?;
            fs::rename(&new, &self.0)
        })();
        written.map_err(|e| {
            Error::with_source(ErrorKind::Io, format!("cannot write {}", self.name()), e)
        })
    }

    /// Lets one change it at a time, as long as the file lives.
    fn lock(&self) -> Result<File> {
        let path = self.beside(".lock");
        let locked = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let locked = locked.and_then(|file| file.lock().map(|()| file));
        locked.map_err(|e| {
            Error::with_source(ErrorKind::Io, format!("cannot lock \"{}\"", path.display()), e)
        })
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.0.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    fn name(&self) -> String {
        format!("\"{}\" (security.rest.token-file)", Path::display(&self.0))
    }
}

impl Token {
    fn parse(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [name, role, hash, expires] = fields[..] else {
            return Err(Error::invalid("expected a name, a role, a hash, and an end or \"never\""));
        };
        let expires = match expires {
            "never" => None,
            millis => Some(Timestamp(millis.parse().map_err(|_| {
                Error::invalid(format!("\"{millis}\" is no end: milliseconds, or \"never\""))
            })?)),
        };
        Ok(Self { name: name.into(), role: role.parse()?, expires, hash: hash.into() })
    }

    fn line(&self) -> String {
        let Self { name, role, expires, hash } = self;
        let expires = expires.map_or("never".to_owned(), |expires| expires.0.to_string());
        format!("{name} {role} {hash} {expires}")
    }
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> (tempfile::TempDir, Tokens) {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::at(folder.path().join("tokens"));
        (folder, tokens)
    }

    #[test]
    fn a_token_is_found_until_it_expires_or_is_revoked() {
        let (_folder, tokens) = tokens();
        let (now, later) = (Timestamp(1000), Timestamp(2000));
        let grafana = tokens.create("grafana", Role::Viewer, None, [1; 32]).unwrap();
        let ci = tokens.create("ci", Role::Deployer, Some(later), [2; 32]).unwrap();
        let found = tokens.find(&grafana, now).unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.role), ("grafana", Role::Viewer));
        assert_eq!(tokens.find(&ci, now).unwrap().unwrap().role, Role::Deployer);
        assert_eq!(tokens.find(&ci, later).unwrap(), None);
        assert_eq!(tokens.find("flott_0101", now).unwrap(), None);
        assert_eq!(tokens.find("", now).unwrap(), None);
        assert!(tokens.create("ci", Role::Admin, None, [3; 32]).is_err(), "it has one");
        tokens.revoke("grafana").unwrap();
        assert_eq!(tokens.find(&grafana, now).unwrap(), None);
        assert!(tokens.revoke("grafana").is_err());
    }

    #[test]
    fn the_file_has_no_token_and_is_its_owner_s() {
        let (folder, tokens) = tokens();
        let secret = tokens.create("ci", Role::Admin, None, [7; 32]).unwrap();
        let path = folder.path().join("tokens");
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&secret[6..]) && text.starts_with("ci admin "), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(tokens.all().unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn what_looks_like_a_token_is_one_only_with_all_its_digits() {
        assert!(has_token(&format!("token=flott_{}&x", hex(&[1; 32]))));
        assert!(!has_token("entry-class=flott_demo&programArg=flott_abc"));
    }

    #[test]
    fn wrong_lines_are_named() {
        let (folder, tokens) = tokens();
        let path = folder.path().join("tokens");
        for (line, why) in [
            ("ci admin", "expected a name"),
            ("ci root x never", "\"root\" is no role"),
            ("ci admin x soon", "\"soon\" is no end"),
        ] {
            fs::write(&path, format!("\n{line}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = tokens.all().unwrap_err().report();
            assert!(error.contains("line 2") && error.contains(why), "{error}");
        }
        assert!(tokens.create("a b", Role::Admin, None, [0; 32]).is_err());
    }
}
