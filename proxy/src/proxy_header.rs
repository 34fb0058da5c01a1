//! The PROXY protocol (HAProxy's specification, versions 1 and 2): who the caller is, told ahead of its bytes.

use std::net::{IpAddr, SocketAddr};

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
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
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
}
