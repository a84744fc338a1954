//! The byte stream under a connection: plain TCP, or TLS without its own task.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use rustls::ServerConnection;

use crate::contract::TlsPeer;

/// A socket and, if it is encrypted, the state of its TLS.
pub(crate) enum Link {
    Plain(TcpStream),
    Tls(Box<TlsLink>),
}

pub(crate) struct TlsLink {
    pub(crate) socket: TcpStream,
    pub(crate) tls: ServerConnection,
}

impl Link {
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(link) => &mut link.socket,
        }
    }

    /// Reads what is there. `Ok(0)` is the end of the stream.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => retry(|| socket.read(buffer)),
            Self::Tls(link) => link.read(buffer),
        }
    }

    /// Writes what fits. `Ok` with less than everything, or `WouldBlock`, means that the rest must
    /// wait until the socket is writable.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => retry(|| socket.write(bytes)),
            Self::Tls(link) => link.write(bytes),
        }
    }

    /// What the handshake said about the peer.
    pub(crate) fn tls_peer(&self) -> Option<TlsPeer> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(link) => Some(TlsPeer::of(&link.tls)),
        }
    }

    /// Encrypted bytes still wait for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        matches!(self, Self::Tls(link) if link.tls.wants_write())
    }

    /// Sends what TLS has ready.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(link) => link.flush(),
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        if let Self::Tls(link) = self {
            link.tls.send_close_notify();
            // The peer may be gone already; there is nobody to tell.
            let _ = link.flush();
        }
        let _ = self.socket().shutdown(std::net::Shutdown::Write);
    }
}

impl TlsLink {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if retry(|| self.tls.read_tls(&mut self.socket))? == 0 {
                return Ok(0);
            }
            if let Err(error) = self.tls.process_new_packets() {
                // The alert that says why is already queued.
                let _ = self.flush();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            if self.tls.wants_write() {
                self.flush_some()?;
            }
        }
    }

    /// Takes bytes until the socket is full: only then does the kernel tell when it is writable
    /// again (edge-triggered). TLS itself holds no more than a part of a large write at a time.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            self.flush_some()?;
            if self.tls.wants_write() && taken < bytes.len() {
                return if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) };
            }
            if taken == bytes.len() {
                return Ok(taken);
            }
            taken += self.tls.writer().write(&bytes[taken..])?;
        }
    }

    fn flush_some(&mut self) -> io::Result<()> {
        match self.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            retry(|| self.tls.write_tls(&mut self.socket))?;
        }
        Ok(())
    }
}

fn retry<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    use super::*;

    fn pair() -> (TlsLink, StreamOwned<ClientConnection, std::net::TcpStream>) {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(key.cert.der().clone()).unwrap();
        let server =
            crate::tls::server_config(key.cert.pem().as_bytes(), key.signing_key.serialize_pem().as_bytes(), None);
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        far.set_nonblocking(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let client = StreamOwned::new(ClientConnection::new(Arc::new(client), name).unwrap(), near);
        let tls = ServerConnection::new(server.unwrap()).unwrap();
        (TlsLink { socket: TcpStream::from_std(far), tls }, client)
    }

    #[test]
    fn a_large_write_ends_only_where_the_socket_is_full() {
        let (mut server, mut client) = pair();
        let reader = std::thread::spawn(move || {
            client.write_all(b"go").unwrap();
            let mut got = vec![0; 900_000];
            client.read_exact(&mut got).unwrap();
            got
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut hello = [0; 2];
        while server.read(&mut hello).is_err() {
            assert!(Instant::now() < deadline, "no handshake");
            std::thread::yield_now();
        }
        let bytes: Vec<u8> = (0..900_000).map(|n| n as u8).collect();
        let mut sent = 0;
        while sent < bytes.len() || server.tls.wants_write() {
            assert!(Instant::now() < deadline, "the rest does not leave");
            match server.write(&bytes[sent..]) {
                Ok(taken) => sent += taken,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            // What was not taken waits for the socket, which says when it has room again.
            assert!(sent == bytes.len() || server.tls.wants_write(), "it stopped although the socket had room");
        }
        assert_eq!(reader.join().unwrap(), bytes);
    }
}
