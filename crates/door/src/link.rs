//! The byte stream under a connection: plain TCP, or TLS without its own task.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use rustls::ServerConnection;

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

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush_some()?;
        if self.tls.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.tls.writer().write(bytes)?;
        self.flush_some()?;
        Ok(taken)
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
