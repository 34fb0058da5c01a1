//! The PROXY protocol (HAProxy's specification, versions 1 and 2): who the caller is, told ahead of its bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const BINARY: usize = 16;
/// The longest header of version 2 that is taken, with what it tells besides addresses.
const LONGEST_BINARY: usize = 16 * 1024;
/// The longest line of version 1, by the specification.
const LONGEST_LINE: usize = 107;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// The beginning of a header.
    More,
    /// A header of so many bytes, and who calls by it: nobody if its sender speaks for itself.
    Whole(usize, Option<Caller>),
}

/// Who calls, and whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
}

impl Caller {
    /// Addresses that somebody can have, as Envoy asks for.
    fn new(from: SocketAddr, to: SocketAddr) -> Option<Self> {
        let anybody = |ip: IpAddr| ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        (!anybody(from.ip()) && !anybody(to.ip())).then_some(Self { from, to })
    }
}

/// Reads the header at the beginning of a connection, of either version.
///
/// # Errors
/// In words, if there is none that tells of TCP.
pub(crate) fn read(bytes: &[u8]) -> Result<Header, &'static str> {
    let may_begin = |with: &[u8]| bytes.iter().zip(with).all(|(one, other)| one == other);
    if may_begin(SIGNATURE) {
        return if bytes.len() < BINARY { Ok(Header::More) } else { read_binary(bytes) };
    }
    if may_begin(b"PROXY ") { read_text(bytes) } else { Err("it does not begin with a PROXY header") }
}

fn read_text(bytes: &[u8]) -> Result<Header, &'static str> {
    let window = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if window.len() < LONGEST_LINE { Ok(Header::More) } else { Err("its PROXY header has no end") };
    };
    let line = std::str::from_utf8(&window[..end]).map_err(|_| "its PROXY header is no text")?;
    let words: Vec<&str> = line.split(' ').collect();
    let caller = match words[..] {
        ["PROXY", "UNKNOWN", ..] => return Ok(Header::Whole(end + 2, None)),
        ["PROXY", "TCP4", from, to, port, to_port] => {
            address::<Ipv4Addr>(from, port).zip(address::<Ipv4Addr>(to, to_port))
        }
        ["PROXY", "TCP6", from, to, port, to_port] => {
            address::<Ipv6Addr>(from, port).zip(address::<Ipv6Addr>(to, to_port))
        }
        _ => return Err("its PROXY header tells of no addresses of TCP"),
    };
    let caller = caller.and_then(|(from, to)| Caller::new(from, to)).ok_or(NOBODY)?;
    Ok(Header::Whole(end + 2, Some(caller)))
}

const NOBODY: &str = "its PROXY header has no valid addresses";

fn address<Ip: std::str::FromStr + Into<IpAddr>>(ip: &str, port: &str) -> Option<SocketAddr> {
    // A number has no sign.
    let port = port.parse().ok().filter(|_| !port.starts_with('+'))?;
    Some(SocketAddr::new(ip.parse::<Ip>().ok()?.into(), port))
}

fn read_binary(bytes: &[u8]) -> Result<Header, &'static str> {
    let [version, family, high, low] = bytes[SIGNATURE.len()..BINARY] else { return Ok(Header::More) };
    let whole = BINARY + usize::from(u16::from_be_bytes([high, low]));
    if whole > LONGEST_BINARY {
        return Err("its PROXY header is too long");
    }
    if !matches!(version, 0x20 | 0x21) {
        return Err("its PROXY header is of no known version");
    }
    let Some(body) = bytes.get(BINARY..whole) else { return Ok(Header::More) };
    let caller = match (version, family) {
        // Sent by the proxy for itself, or of somebody it cannot name.
        (0x20, _) | (_, 0x00) => return Ok(Header::Whole(whole, None)),
        (_, 0x11) => addresses::<4>(body),
        (_, 0x21) => addresses::<16>(body),
        _ => return Err("its PROXY header tells of no addresses of TCP"),
    };
    Ok(Header::Whole(whole, Some(caller.ok_or(NOBODY)?)))
}

/// Two addresses, and behind them their ports.
fn addresses<const N: usize>(body: &[u8]) -> Option<Caller>
where
    IpAddr: From<[u8; N]>,
{
    let (from, rest): (&[u8; N], _) = body.split_first_chunk()?;
    let (to, rest): (&[u8; N], _) = rest.split_first_chunk()?;
    let [from_high, from_low, to_high, to_low] = *rest.first_chunk()?;
    let address = |ip: &[u8; N], port| SocketAddr::new((*ip).into(), u16::from_be_bytes(port));
    Caller::new(address(from, [from_high, from_low]), address(to, [to_high, to_low]))
}

/// The header of this version for a connection from `source` to `destination`. Version 1 unless it is 2.
pub(crate) fn write(version: u8, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    if version == 2 { binary(source, destination) } else { text(source, destination) }
}

fn text(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (from, to) = (source.ip().to_canonical(), destination.ip().to_canonical());
    let family = match (from, to) {
        (IpAddr::V4(_), IpAddr::V4(_)) => "TCP4",
        (IpAddr::V6(_), IpAddr::V6(_)) => "TCP6",
        _ => return b"PROXY UNKNOWN\r\n".to_vec(),
    };
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

fn binary(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut header = [SIGNATURE, b"\x21"].concat();
    let mut addresses = Vec::with_capacity(36);
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.push(0x11);
            addresses.extend(from.octets());
            addresses.extend(to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            header.push(0x21);
            addresses.extend(from.octets());
            addresses.extend(to.octets());
        }
        _ => header.push(0x00),
    }
    if !addresses.is_empty() {
        addresses.extend(source.port().to_be_bytes());
        addresses.extend(destination.port().to_be_bytes());
    }
    // At most 36 bytes.
    header.extend((addresses.len() as u16).to_be_bytes());
    header.extend(addresses);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_the_specification() {
        let (source, destination) = (([192, 168, 0, 1], 56324).into(), ([192, 168, 0, 11], 443).into());
        assert_eq!(write(1, source, destination), b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
        let binary = write(2, source, destination);
        assert_eq!(binary[12..16], [0x21, 0x11, 0, 12]);
        assert_eq!(binary[16..], [192, 168, 0, 1, 192, 168, 0, 11, 0xdc, 0x04, 0x01, 0xbb]);
    }

    const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

    /// Whether every shorter part of a header asks for more, and the whole is read with what follows.
    fn is_read(header: &[u8], caller: Option<Caller>) {
        for length in 0..header.len() {
            assert_eq!(read(&header[..length]), Ok(Header::More), "{}", header[..length].escape_ascii());
        }
        let followed = [header, b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(read(&followed), Ok(Header::Whole(header.len(), caller)), "{}", header.escape_ascii());
    }

    #[test]
    fn what_is_written_is_read() {
        for source in ["192.168.0.1:56324", "[2001:db8::1]:65535"] {
            let source: SocketAddr = source.parse().unwrap();
            let to = if source.is_ipv4() { LOCAL } else { SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 80) };
            for version in [1, 2] {
                is_read(&write(version, source, to), Some(Caller { from: source, to }));
            }
        }
    }

    #[test]
    fn who_speaks_for_itself_names_nobody() {
        let mixed: SocketAddr = "[2001:db8::1]:1".parse().unwrap();
        for version in [1, 2] {
            is_read(&write(version, mixed, LOCAL), None);
        }
        is_read(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None);
        // `LOCAL`, with addresses that mean nothing.
        is_read(&[SIGNATURE, &[0x20, 0x11, 0, 2, 9, 9]].concat(), None);
    }

    #[test]
    fn what_it_tells_besides_is_passed_over() {
        let from = ([10, 0, 0, 1], 7).into();
        let mut header = write(2, from, LOCAL);
        header.extend([0x04, 0, 1, 0]);
        header[15] += 4;
        is_read(&header, Some(Caller { from, to: LOCAL }));
    }

    #[test]
    fn what_is_no_header_of_tcp_is_refused() {
        let long = format!("PROXY UNKNOWN {}", "x".repeat(LONGEST_LINE));
        let texts = [
            "GET / HTTP/1.1\r\n",
            "PROXY\r\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 1\r\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 1 65536\r\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 +1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 0.0.0.0 10.0.0.2 1 2\r\n",
            "PROXY TCP6 ff02::1 ::1 1 2\r\n",
            "PROXY TCP6 ::1 10.0.0.2 1 2\r\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 1 2 3\r\n",
            &long,
        ];
        let binaries = [
            [0x11, 0x11, 0, 12],
            [0x22, 0x11, 0, 12],
            [0x21, 0x12, 0, 12],
            [0x21, 0x11, 0, 4],
            [0x21, 0x11, 0xff, 0xff],
        ];
        let binaries = binaries.map(|head| [SIGNATURE, &head, &[0; 12]].concat());
        for bytes in texts.iter().map(|text| text.as_bytes()).chain(binaries.iter().map(|bytes| &**bytes)) {
            assert!(read(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80), begin in 0..3) {
            let begin: &[u8] = [&b""[..], b"PROXY ", SIGNATURE][begin as usize];
            if let Ok(Header::Whole(length, _)) = read(&[begin, &bytes].concat()) {
                proptest::prop_assert!(length <= begin.len() + bytes.len());
            }
        }
    }
}
