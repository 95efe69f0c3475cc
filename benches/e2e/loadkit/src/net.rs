//! Raw non-blocking sockets and epoll, loopback only.
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

fn cvt(r: i32) -> io::Result<i32> {
    if r < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(r)
    }
}

pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> io::Result<Self> {
        let fd = cvt(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
    pub fn add(&self, fd: RawFd, events: i32, data: u64) -> io::Result<()> {
        self.ctl(libc::EPOLL_CTL_ADD, fd, events, data)
    }
    pub fn modify(&self, fd: RawFd, events: i32, data: u64) -> io::Result<()> {
        self.ctl(libc::EPOLL_CTL_MOD, fd, events, data)
    }
    fn ctl(&self, op: i32, fd: RawFd, events: i32, data: u64) -> io::Result<()> {
        let mut ev = libc::epoll_event {
            events: events as u32,
            u64: data,
        };
        cvt(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), op, fd, &mut ev) }).map(|_| ())
    }
    /// `timeout_ns` < 0 waits for ever.
    pub fn wait<'a>(
        &self,
        buf: &'a mut Vec<libc::epoll_event>,
        timeout_ns: i64,
    ) -> io::Result<&'a [libc::epoll_event]> {
        let ts = libc::timespec {
            tv_sec: timeout_ns.max(0) / 1_000_000_000,
            tv_nsec: timeout_ns.max(0) % 1_000_000_000,
        };
        let tsp = if timeout_ns < 0 {
            std::ptr::null()
        } else {
            &ts as *const _
        };
        let n = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.0.as_raw_fd(),
                buf.as_mut_ptr(),
                buf.capacity() as i32,
                tsp,
                std::ptr::null::<libc::sigset_t>(),
                8usize,
            )
        };
        if n < 0 {
            let e = io::Error::last_os_error();
            if e.kind() == io::ErrorKind::Interrupted {
                unsafe { buf.set_len(0) };
                return Ok(&buf[..]);
            }
            return Err(e);
        }
        unsafe { buf.set_len(n as usize) };
        Ok(&buf[..])
    }
}

fn sockaddr(a: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: a.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(*a.ip()).to_be(),
        },
        sin_zero: [0; 8],
    }
}

fn setopt(fd: RawFd, level: i32, name: i32, v: i32) {
    unsafe { libc::setsockopt(fd, level, name, &v as *const i32 as *const libc::c_void, 4) };
}

pub fn nodelay(fd: RawFd) {
    setopt(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
}

pub fn listen(port: u16) -> io::Result<OwnedFd> {
    let fd = cvt(unsafe {
        libc::socket(
            libc::AF_INET,
            libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            0,
        )
    })?;
    let own = unsafe { OwnedFd::from_raw_fd(fd) };
    setopt(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1);
    let sa = sockaddr(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    cvt(unsafe {
        libc::bind(
            fd,
            &sa as *const _ as *const libc::sockaddr,
            std::mem::size_of_val(&sa) as u32,
        )
    })?;
    cvt(unsafe { libc::listen(fd, 4096) })?;
    Ok(own)
}

pub fn accept(l: RawFd) -> io::Result<OwnedFd> {
    let fd = cvt(unsafe {
        libc::accept4(
            l,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        )
    })?;
    nodelay(fd);
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Connects (blocking; loopback answers at once) and turns the socket non-blocking.
pub fn connect(a: SocketAddrV4) -> io::Result<OwnedFd> {
    if !a.ip().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "loopback addresses only",
        ));
    }
    let s = std::net::TcpStream::connect_timeout(&a.into(), std::time::Duration::from_millis(500))?;
    s.set_nodelay(true)?;
    s.set_nonblocking(true)?;
    Ok(unsafe { OwnedFd::from_raw_fd(s.into_raw_fd()) })
}

pub fn read(fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
    let n = unsafe { libc::recv(fd, buf.as_mut_ptr() as *mut libc::c_void, buf.len(), 0) };
    if n < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(n as usize)
    }
}

pub fn write(fd: RawFd, buf: &[u8]) -> io::Result<usize> {
    let n = unsafe {
        libc::send(
            fd,
            buf.as_ptr() as *const libc::c_void,
            buf.len(),
            libc::MSG_NOSIGNAL,
        )
    };
    if n < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(n as usize)
    }
}

/// `http://127.0.0.1:port/path` to its parts. Only loopback is accepted.
pub fn parse_url(u: &str) -> Result<(SocketAddrV4, String, String), String> {
    let rest = u.strip_prefix("http://").ok_or("only http://")?;
    let (host, path) = match rest.find('/') {
        Some(i) => (&rest[..i], &rest[i..]),
        None => (rest, "/"),
    };
    let (h, p) = host.rsplit_once(':').unwrap_or((host, "80"));
    let ip: Ipv4Addr = if h == "localhost" {
        Ipv4Addr::LOCALHOST
    } else {
        h.parse().map_err(|_| format!("not an IPv4 address: {h}"))?
    };
    if !ip.is_loopback() {
        return Err(format!("{ip} is not a loopback address"));
    }
    let port = p.parse().map_err(|_| "bad port".to_string())?;
    Ok((
        SocketAddrV4::new(ip, port),
        host.to_string(),
        path.to_string(),
    ))
}
