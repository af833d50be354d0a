//! `age-plugin-practice`: a plugin of age as a person would install one, for tests. It keeps an X25519 identity of its own in a
//! file of its home, where others keep one in a token, and wraps to it.
//!
//! Made with the crate that plugins are made with, so that what speaks to it is held against somebody else's reading of the
//! protocol. Called without arguments it makes its key, and prints the identity file that names it. Knows no vault.

use std::{
    collections::{HashMap, HashSet},
    env, fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use age::{Identity as _, Recipient as _, secrecy::ExposeSecret, x25519};
use age_core::format::{FileKey, Stanza};
use age_plugin::{
    Callbacks, PluginHandler,
    identity::{self, IdentityPluginV1},
    print_new_identity,
    recipient::{self, RecipientPluginV1},
    run_state_machine,
};

fn main() -> io::Result<()> {
    match env::args().nth(1).as_deref().map(|argument| argument.strip_prefix("--age-plugin=")) {
        None => make_key(),
        Some(Some(machine)) => {
            note_call(machine)?;
            run_state_machine(machine, Practice)
        }
        Some(None) => Err(io::Error::other("--age-plugin=STATE-MACHINE is expected, or nothing")),
    }
}

/// What the plugin's side of both protocols is made of.
struct Practice;

/// Wraps to its own public keys.
#[derive(Default)]
struct Wrapping(Vec<x25519::Recipient>);

/// Unwraps with its own key, once somebody named it.
#[derive(Default)]
struct Unwrapping(Vec<x25519::Identity>);

impl PluginHandler for Practice {
    type RecipientV1 = Wrapping;
    type IdentityV1 = Unwrapping;

    fn recipient_v1(self) -> io::Result<Wrapping> {
        Ok(Wrapping::default())
    }

    fn identity_v1(self) -> io::Result<Unwrapping> {
        Ok(Unwrapping::default())
    }
}

impl RecipientPluginV1 for Wrapping {
    fn add_recipient(&mut self, index: usize, name: &str, bytes: &[u8]) -> Result<(), recipient::Error> {
        let refused = |message: &str| recipient::Error::Recipient { index, message: message.to_owned() };
        if name != NAME {
            return Err(refused("another plugin's recipient"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| refused("no text"))?;
        self.0.push(text.parse().map_err(|why: &str| refused(why))?);
        Ok(())
    }

    fn add_identity(&mut self, index: usize, _: &str, _: &[u8]) -> Result<(), recipient::Error> {
        Err(recipient::Error::Identity { index, message: "give the recipient".to_owned() })
    }

    fn labels(&mut self) -> HashSet<String> {
        HashSet::new()
    }

    fn wrap_file_keys(
        &mut self,
        file_keys: Vec<FileKey>,
        _: impl Callbacks<recipient::Error>,
    ) -> io::Result<Result<Vec<Vec<Stanza>>, Vec<recipient::Error>>> {
        let wrapped = |file_key: &FileKey| {
            let stanzas = self.0.iter().map(|recipient| recipient.wrap_file_key(file_key).map(|(stanzas, _)| stanzas));
            let stanzas = stanzas.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
            Ok::<_, io::Error>(stanzas.into_iter().flatten().map(|stanza| renamed(stanza, NATIVE, NAME)).collect())
        };
        Ok(Ok(file_keys.iter().map(wrapped).collect::<Result<_, _>>()?))
    }
}

impl IdentityPluginV1 for Unwrapping {
    fn add_identity(&mut self, index: usize, _: &str, bytes: &[u8]) -> Result<(), identity::Error> {
        let refused = |message: String| identity::Error::Identity { index, message };
        let key = read_key().map_err(|error| refused(error.to_string()))?;
        if key.to_public().to_string().as_bytes() != bytes {
            return Err(refused("this is another key's identity".to_owned()));
        }
        self.0.push(key);
        Ok(())
    }

    fn unwrap_file_keys(
        &mut self,
        files: Vec<Vec<Stanza>>,
        _: impl Callbacks<identity::Error>,
    ) -> io::Result<HashMap<usize, Result<FileKey, Vec<identity::Error>>>> {
        let mut unwrapped = HashMap::new();
        for (file_index, stanzas) in files.into_iter().enumerate() {
            let ours = stanzas.into_iter().filter(|stanza| stanza.tag == NAME);
            let ours: Vec<_> = ours.map(|stanza| renamed(stanza, NAME, NATIVE)).collect();
            match self.0.iter().find_map(|key| key.unwrap_stanzas(&ours)) {
                Some(Ok(file_key)) => _ = unwrapped.insert(file_index, Ok(file_key)),
                Some(Err(error)) => {
                    let refused = identity::Error::Stanza { file_index, stanza_index: 0, message: error.to_string() };
                    unwrapped.insert(file_index, Err(vec![refused]));
                }
                None => {}
            }
        }
        Ok(unwrapped)
    }
}

/// The stanza under another tag: what it holds is X25519, but nobody without the plugin is to take it for age's own.
fn renamed(stanza: Stanza, from: &str, to: &str) -> Stanza {
    let tag = if stanza.tag == from { to.to_owned() } else { stanza.tag };
    Stanza { tag, ..stanza }
}

fn make_key() -> io::Result<()> {
    let (key, path) = (x25519::Identity::generate(), home()?.join(KEY_FILE));
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    // EXPOSE: the file is where this plugin keeps its key.
    file.write_all(key.to_string().expose_secret().as_bytes())?;
    let public = key.to_public().to_string();
    print_new_identity(NAME, public.as_bytes(), public.as_bytes());
    Ok(())
}

fn read_key() -> io::Result<x25519::Identity> {
    fs::read_to_string(home()?.join(KEY_FILE))?.trim().parse().map_err(io::Error::other)
}

/// Writes down that it was called, and the names of the variables that it was given.
fn note_call(machine: &str) -> io::Result<()> {
    let mut names: Vec<_> = env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    names.sort();
    let mut log = fs::File::options().append(true).create(true).open(home()?.join(LOG_FILE))?;
    writeln!(log, "{machine} {}", names.join(" "))
}

fn home() -> io::Result<PathBuf> {
    env::var_os("HOME").map(PathBuf::from).ok_or_else(|| io::Error::other("HOME is not set"))
}

/// The plugin's name, and its stanzas' tag.
const NAME: &str = "practice";
/// The tag of age's own X25519 stanzas.
const NATIVE: &str = "X25519";
/// In the home of whoever runs it.
const KEY_FILE: &str = "age-plugin-practice.key";
/// The same.
const LOG_FILE: &str = "age-plugin-practice.log";
