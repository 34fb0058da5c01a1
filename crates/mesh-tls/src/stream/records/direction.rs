//! One direction's key and the numbers of its records.

use std::io::IoSlice;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use rustls::{ConnectionTrafficSecrets, Error};

/// Content type, version and length (RFC 8446, 5.1).
pub(super) const HEAD: usize = 5;
/// The inner content type (5.2).
const KIND: usize = 1;
/// Of each suite.
pub(super) const TAG: usize = 16;
/// What a record has besides what it carries.
pub(super) const OVERHEAD: usize = HEAD + KIND + TAG;

/// The content type that all sealed records show.
pub(super) const DATA: u8 = 23;

/// A key, under which each number is used once: numbers only rise, and a new key comes with a new direction.
pub(super) struct Direction {
    key: LessSafeKey,
    iv: [u8; 12],
    number: u64,
}

impl Direction {
    /// # Errors
    /// If the suite is none of TLS 1.3 that is known here.
    pub(super) fn new((number, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, Error> {
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Error::General("the cipher suite is not known".to_owned())),
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| Error::EncryptError)?;
        let iv = iv.as_ref().try_into().map_err(|_| Error::EncryptError)?;
        Ok(Self { key: LessSafeKey::new(key), iv, number })
    }

    /// Records that went under this key.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next record's (5.3).
    fn nonce(&mut self) -> Option<Nonce> {
        let number = self.number;
        self.number = number.checked_add(1)?;
        let mut nonce = self.iv;
        nonce.iter_mut().skip(4).zip(number.to_be_bytes()).for_each(|(byte, of_number)| *byte ^= of_number);
        Some(Nonce::assume_unique_for_key(nonce))
    }

    /// Seals `length` bytes of the slices, after so many that are passed over, into `record`, which has [`OVERHEAD`] more.
    ///
    /// # Errors
    /// If the numbers are used up.
    pub(super) fn seal(
        &mut self,
        kind: u8,
        slices: &[IoSlice<'_>],
        passed: usize,
        record: &mut [u8],
    ) -> Result<(), Error> {
        let head = head(record.len() - HEAD);
        let nonce = self.nonce().ok_or(Error::EncryptError)?;
        let length = record.len() - OVERHEAD;
        let (of_head, sealed) = record.split_at_mut(HEAD);
        of_head.copy_from_slice(&head);
        let (body, tail) = sealed.split_at_mut(length);
        let aad = Aad::from(head);
        let done = match in_one(slices, passed, length) {
            Some(plain) => self.key.seal_out_of_place_scatter(nonce, aad, plain, body, &[kind], tail),
            None => {
                gather(slices, passed, body);
                self.key.seal_in_place_scatter(nonce, aad, body, &[kind], tail)
            }
        };
        done.map_err(|_| Error::EncryptError)
    }

    /// Opens a whole record into memory that is shorter by [`HEAD`] and [`TAG`].
    ///
    /// # Errors
    /// If it is not what the peer sealed as its next.
    pub(super) fn open(&mut self, record: &[u8], plain: &mut [u8]) -> Result<(), Error> {
        let (head, sealed) = record.split_at(HEAD);
        let (sealed, tag) = sealed.split_at(plain.len());
        let nonce = self.nonce().ok_or(Error::DecryptError)?;
        let opened = self.key.open_separate_gather(nonce, Aad::from(head), sealed, tag, plain);
        opened.map_err(|_| Error::DecryptError)
    }

    /// The same where it stands; the plain bytes follow its head.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn open_in_place<'a>(&mut self, record: &'a mut [u8]) -> Result<&'a mut [u8], Error> {
        let (head, sealed) = record.split_at_mut(HEAD);
        let nonce = self.nonce().ok_or(Error::DecryptError)?;
        self.key.open_in_place(nonce, Aad::from(head), sealed).map_err(|_| Error::DecryptError)
    }
}

fn head(sealed: usize) -> [u8; HEAD] {
    let [high, low] = u16::try_from(sealed).unwrap_or(u16::MAX).to_be_bytes();
    // The version is that of TLS 1.2 for all time.
    [DATA, 3, 3, high, low]
}

/// The bytes, if they stand in one slice.
fn in_one<'a>(slices: &'a [IoSlice<'_>], mut passed: usize, length: usize) -> Option<&'a [u8]> {
    for slice in slices {
        if passed < slice.len() {
            return slice.get(passed..passed + length);
        }
        passed -= slice.len();
    }
    None
}

fn gather(slices: &[IoSlice<'_>], mut passed: usize, mut into: &mut [u8]) {
    for slice in slices {
        let rest = &slice[passed.min(slice.len())..];
        passed = passed.saturating_sub(slice.len());
        let count = rest.len().min(into.len());
        let (here, later) = into.split_at_mut(count);
        here.copy_from_slice(&rest[..count]);
        into = later;
    }
}
