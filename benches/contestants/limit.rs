//! The limit: the cheapest correct code for this crate's format and libraries, written by hand. It
//! is not a session: it has one key, no ids, no owner, no rotation, no events and no cache headers,
//! and it does not keep an opened session.
//!
//! A read is one header scan, one base64 decoding, one HMAC, one CTR decryption, one clock reading
//! and one value. A write also does the reverse: IV, CTR, HMAC, base64, `Set-Cookie`. The IV is
//! random; [`HEDGED`] derives it with a separate HMAC, as the format requires.

use std::{
    cell::RefCell,
    sync::{Arc, LazyLock, Mutex},
    task::{Context, Poll},
    time::SystemTime,
};

use aes::{
    Aes256Enc,
    cipher::{InnerIvInit as _, KeyInit as _, StreamCipherCore as _},
};
use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::{
        HeaderValue, Request, Response,
        header::{COOKIE, SET_COOKIE},
        request::Parts,
    },
    routing::get,
};
use base64::engine::{Engine as _, Simd, general_purpose::NO_PAD};
use bytes::Bytes;
use ctr::{CtrCore, flavors::Ctr128BE};
use hmac::{
    block_api::HmacCore,
    digest::{
        CtOutput, Output,
        block_api::{Buffer, FixedOutputCore as _, UpdateCore as _},
    },
};
use pin_project_lite::pin_project;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sha2::Sha256;
use tower_layer::Layer;
use tower_service::Service;

use super::{Answer, Contestant, OK, Size, is_known};

pub const LIMIT: Contestant = Contestant {
    name: "limit",
    cookie: "__Host-Http-session",
    app: |size| app(size, Keys::new(None)),
};

pub const HEDGED: Contestant = Contestant {
    name: "limit, hedged IV",
    cookie: "__Host-Http-session",
    app: |size| app(size, Keys::new(Some(random()))),
};

fn app(size: Size, keys: Keys) -> Router {
    let values = size.values().into_iter().collect();
    Router::new()
        .route("/untouched", get(async || OK))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new))
        .route("/new-by-value", get(new))
        .with_state(Arc::new(values))
        .layer(LimitLayer(Arc::new(keys)))
}

static BASE64URL: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

const NAME: &[u8] = b"__Host-Http-session=";
const ATTRIBUTES: &[u8] = b"; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600";
const HEAD: [u8; 5] = *b"\x01kkid";
const IV: usize = HEAD.len();
const PLAINTEXT: usize = IV + 16;
const ENTRIES: usize = PLAINTEXT + 31;
const TAG: usize = 32;
const IDLE_MS: u64 = 3_600_000;

type ValueList = Vec<(String, serde_json::Value)>;

async fn read(slot: Slot) -> Answer {
    is_known(slot.open().and_then(|opened| opened.number(b"user_id")))
}

async fn write(slot: Slot) -> Answer {
    let Some(opened) = slot.open() else {
        return is_known(None);
    };
    let user_id = opened.number(b"user_id");
    slot.seal(opened.set(b"user_id", user_id.unwrap_or(0) + 1));
    is_known(user_id)
}

async fn new(State(values): State<Arc<ValueList>>, slot: Slot) -> Answer {
    let mut bytes = vec![0; ENTRIES];
    let mut json = Vec::new();
    for (key, value) in values.iter() {
        json.clear();
        serde_json::to_writer(&mut json, value).expect("JSON");
        push_entry(&mut bytes, key.as_bytes(), &json);
    }
    bytes[PLAINTEXT + 1] = 1;
    set_times(&mut bytes, now());
    slot.seal(bytes);
    OK
}

type Mac = HmacCore<Sha256>;

struct Keys {
    enc: Aes256Enc,
    mac: Mac,
    iv: Option<Mac>,
}

impl Keys {
    fn new(iv: Option<[u8; 32]>) -> Self {
        let [enc, mac]: [[u8; 32]; 2] = [random(), random()];
        let hmac = |key: [u8; 32]| Mac::new_from_slice(&key).expect("any length");
        Self {
            enc: Aes256Enc::new(&enc.into()),
            mac: hmac(mac),
            iv: iv.map(hmac),
        }
    }

    fn iv(&self, plaintext: &[u8]) -> [u8; 16] {
        let Some(mac) = &self.iv else {
            return random();
        };
        let hash = hash(mac, [&random::<32>(), &[0; 8], plaintext]);
        *hash.first_chunk().expect("a hash is longer")
    }

    fn apply_keystream(&self, iv: [u8; 16], data: &mut [u8]) {
        let core = CtrCore::<_, Ctr128BE>::inner_iv_init(&self.enc, &iv.into());
        core.apply_keystream_partial(data.into());
    }
}

fn hash<const N: usize>(mac: &Mac, parts: [&[u8]; N]) -> Output<Mac> {
    let (mut mac, mut buffer) = (mac.clone(), Buffer::<Mac>::default());
    for part in parts {
        buffer.digest_blocks(part, |blocks| mac.update_blocks(blocks));
    }
    let mut hash = Output::<Mac>::default();
    mac.finalize_fixed_core(&mut buffer, &mut hash);
    hash
}

fn random<const N: usize>() -> [u8; N] {
    thread_local! {
        static GENERATOR: RefCell<StdRng> = {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).expect("entropy");
            RefCell::new(StdRng::from_seed(seed))
        };
    }
    let mut bytes = [0; N];
    GENERATOR.with_borrow_mut(|generator| generator.fill_bytes(&mut bytes));
    bytes
}

fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    since.as_secs() * 1000 + u64::from(since.subsec_millis())
}

fn set_times(bytes: &mut [u8], now: u64) {
    let times = &mut bytes[PLAINTEXT + 17..ENTRIES];
    times[..6].copy_from_slice(&now.to_be_bytes()[2..]);
    times[10..].copy_from_slice(&86_400_u32.to_be_bytes());
}

fn push_entry(out: &mut Vec<u8>, key: &[u8], json: &[u8]) {
    assert!(json.len() < 128, "the limit supports only short values");
    out.push(key.len() as u8);
    out.extend_from_slice(key);
    out.push(json.len() as u8);
    out.extend_from_slice(json);
}

/// The decrypted token, in the buffer of its base64 decoding.
struct Opened(Vec<u8>);

impl Opened {
    /// The position of an entry's JSON.
    fn find(&self, key: &[u8]) -> Option<std::ops::Range<usize>> {
        let mut at = ENTRIES;
        loop {
            let key_len = usize::from(*self.0.get(at)?);
            let value = at + 2 + key_len;
            let end = value + usize::from(*self.0.get(value - 1)?);
            if self.0.get(at + 1..value - 1)? == key {
                return Some(value..end);
            }
            if key_len == 0 {
                return None;
            }
            at = end;
        }
    }

    fn number(&self, key: &[u8]) -> Option<u64> {
        serde_json::from_slice(&self.0[self.find(key)?]).ok()
    }

    fn set(mut self, key: &[u8], number: u64) -> Vec<u8> {
        let range = self.find(key).expect("it was read before");
        let mut digits = itoa::Buffer::new();
        let json = digits.format(number).as_bytes();
        self.0[range.start - 1] = json.len() as u8;
        match self.0.get_mut(range.clone()) {
            Some(old) if old.len() == json.len() => old.copy_from_slice(json),
            _ => drop(self.0.splice(range, json.iter().copied())),
        }
        self.0
    }
}

/// The cookie of the request, and the cookie for the response.
#[derive(Clone)]
struct Slot(Arc<Inner>);

struct Inner {
    keys: Arc<Keys>,
    cookie: Option<HeaderValue>,
    set: Mutex<Option<HeaderValue>>,
}

impl Slot {
    fn open(&self) -> Option<Opened> {
        let keys = &self.0.keys;
        let header = self.0.cookie.as_ref()?.as_bytes();
        let mut rest = header;
        let token = loop {
            let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
            if let Some(token) = rest[..end].trim_ascii_start().strip_prefix(NAME) {
                break token;
            }
            rest = rest.get(end + 1..)?;
        };
        let mut bytes = Vec::with_capacity(token.len().div_ceil(4) * 3);
        BASE64URL.decode_vec(token, &mut bytes).ok()?;
        if bytes.len() < ENTRIES + TAG || bytes[..IV] != HEAD {
            return None;
        }
        let end = bytes.len() - TAG;
        let tag: [u8; TAG] = *bytes.last_chunk()?;
        bytes[end..][..8].fill(0);
        let wanted = CtOutput::<Mac>::new(hash(&keys.mac, [&bytes[IV..end + 8]]));
        if wanted != CtOutput::new(tag.into()) {
            return None;
        }
        bytes.truncate(end);
        let iv = bytes[IV..PLAINTEXT].try_into().expect("its length");
        keys.apply_keystream(iv, &mut bytes[PLAINTEXT..]);
        let mut word = [0; 8];
        word[2..].copy_from_slice(&bytes[PLAINTEXT + 17..][..6]);
        let age = now().checked_sub(u64::from_be_bytes(word))?;
        (age < IDLE_MS).then_some(Opened(bytes))
    }

    fn seal(&self, mut bytes: Vec<u8>) {
        let keys = &self.0.keys;
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        let end = PLAINTEXT + (bytes.len() - PLAINTEXT).next_multiple_of(16);
        bytes.reserve_exact(end + TAG - bytes.len());
        bytes.resize(end, 0);
        let iv = keys.iv(&bytes[PLAINTEXT..]);
        bytes[..IV].copy_from_slice(&HEAD);
        bytes[IV..PLAINTEXT].copy_from_slice(&iv);
        keys.apply_keystream(iv, &mut bytes[PLAINTEXT..]);
        bytes.extend_from_slice(&[0; 8]);
        let tag = hash(&keys.mac, [&bytes[IV..]]);
        bytes.truncate(end);
        bytes.extend_from_slice(&tag);
        let len = NAME.len() + (bytes.len() * 4).div_ceil(3) + ATTRIBUTES.len();
        let mut line = Vec::with_capacity(len);
        line.extend_from_slice(NAME);
        let start = line.len();
        line.resize(len - ATTRIBUTES.len(), 0);
        let encoded = BASE64URL.encode_slice(&bytes, &mut line[start..]);
        encoded.expect("it has the text's length");
        line.extend_from_slice(ATTRIBUTES);
        let header = HeaderValue::from_maybe_shared(Bytes::from(line)).expect("ASCII");
        *self.0.set.lock().expect("no panic while locked") = Some(header);
    }
}

impl<S: Sync> FromRequestParts<S> for Slot {
    type Rejection = ();

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ()> {
        parts.extensions.get::<Self>().cloned().ok_or(())
    }
}

#[derive(Clone)]
struct LimitLayer(Arc<Keys>);

impl<S> Layer<S> for LimitLayer {
    type Service = LimitService<S>;

    fn layer(&self, inner: S) -> LimitService<S> {
        LimitService {
            inner,
            keys: self.0.clone(),
        }
    }
}

#[derive(Clone)]
struct LimitService<S> {
    inner: S,
    keys: Arc<Keys>,
}

impl<S, B, R> Service<Request<B>> for LimitService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = LimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let slot = Slot(Arc::new(Inner {
            keys: self.keys.clone(),
            cookie: request.headers().get(COOKIE).cloned(),
            set: Mutex::new(None),
        }));
        request.extensions_mut().insert(slot.clone());
        LimitFuture {
            inner: self.inner.call(request),
            slot,
        }
    }
}

pin_project! {
    struct LimitFuture<F> {
        #[pin]
        inner: F,
        slot: Slot,
    }
}

impl<F, B, E> Future for LimitFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = std::task::ready!(this.inner.poll(cx))?;
        let set = this
            .slot
            .0
            .set
            .lock()
            .expect("no panic while locked")
            .take();
        if let Some(line) = set {
            response.headers_mut().append(SET_COOKIE, line);
        }
        Poll::Ready(Ok(response))
    }
}
