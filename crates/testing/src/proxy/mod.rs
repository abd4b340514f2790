//! A TCP proxy that breaks connections on demand.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc as queue, watch};
use tokio::task::JoinSet;

use crate::background::Background;
use crate::ports::ReservedPort;

/// Most bytes carried in one go; also the unit of delay and rate.
const CHUNK: usize = 16 * 1024;

/// A proxy on a free port of 127.0.0.1 in front of a server, with a thread of its own.
///
/// A control has taken effect when its call returns: after [`cut`](Self::cut) no old connection is open and no new one comes about.
/// Each mode replaces the one before it; [`pass`](Self::pass) ends them all.
#[derive(Debug)]
pub struct FaultProxy {
    port: ReservedPort,
    orders: queue::UnboundedSender<Order>,
    counts: Arc<Counts>,
    _running: Background,
}

/// How bytes are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    Refuse,
    Stall,
    Delay(Duration),
    /// Bytes per second, per connection and direction.
    Limit(u64),
    /// Bytes from the target after which a connection is reset.
    BreakAfter(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Reset,
}

#[derive(Debug)]
struct Order {
    mode: Option<Mode>,
    end: Option<End>,
    done: mpsc::Sender<()>,
}

/// What the connections watch.
#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    /// How the connections of earlier generations end.
    end: End,
    generation: u64,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
    to_target: AtomicU64,
    from_target: AtomicU64,
}

impl FaultProxy {
    /// Starts one in front of `target`, which need not be there yet.
    pub fn start(target: SocketAddr) -> Self {
        let port = ReservedPort::new();
        let (orders, inbox) = queue::unbounded_channel();
        let counts = Arc::<Counts>::default();
        let number = port.number();
        let shared = Arc::clone(&counts);
        let running = Background::listen("fault proxy", number, move |listener| {
            serve(listener, number, target, inbox, shared)
        });
        Self {
            port,
            orders,
            counts,
            _running: running.unwrap_or_else(|error| panic!("the fault proxy: {error}")),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Carries everything as it comes: the mode it starts in.
    pub fn pass(&self) {
        self.order(Some(Mode::Pass), None);
    }

    /// Closes all connections (`FIN`) and refuses new ones, as when the server's process is gone.
    pub fn cut(&self) {
        self.order(Some(Mode::Refuse), Some(End::Close));
    }

    /// Accepts connections and keeps open ones, but carries nothing, as when the network drops packets. What was held back is
    /// carried after [`pass`](Self::pass).
    pub fn stall(&self) {
        self.order(Some(Mode::Stall), None);
    }

    /// Carries each piece of up to 16 KiB, in each direction, so much later.
    pub fn delay(&self, delay: Duration) {
        self.order(Some(Mode::Delay(delay)), None);
    }

    /// Carries so many bytes per second at most, per connection and direction.
    pub fn limit(&self, bytes_per_second: u64) {
        assert!(bytes_per_second > 0, "use stall() to carry nothing");
        self.order(Some(Mode::Limit(bytes_per_second)), None);
    }

    /// Resets each new connection when so many bytes have come from the target, as when the server dies in the middle of an
    /// answer. Open connections are carried on, their bytes not counted back.
    pub fn break_after(&self, bytes: u64) {
        self.order(Some(Mode::BreakAfter(bytes)), None);
    }

    /// Resets all open connections (`RST`) once; the mode stays.
    pub fn reset(&self) {
        self.order(None, Some(End::Reset));
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    /// How many bytes were carried to the target; one that arrived is counted.
    pub fn bytes_to_target(&self) -> u64 {
        self.counts.to_target.load(Ordering::SeqCst)
    }

    /// How many bytes were carried from the target; one that arrived is counted.
    pub fn bytes_from_target(&self) -> u64 {
        self.counts.from_target.load(Ordering::SeqCst)
    }

    fn order(&self, mode: Option<Mode>, end: Option<End>) {
        let (done, is_done) = mpsc::channel();
        let sent = self.orders.send(Order { mode, end, done });
        assert!(
            sent.is_ok(),
            "the fault proxy runs as long as this value lives"
        );
        is_done
            .recv_timeout(Duration::from_secs(10))
            .expect("the fault proxy obeys");
    }
}

async fn serve(
    listener: TcpListener,
    port: u16,
    target: SocketAddr,
    mut orders: queue::UnboundedReceiver<Order>,
    counts: Arc<Counts>,
) {
    let (state, _) = watch::channel(State {
        mode: Mode::Pass,
        end: End::Close,
        generation: 0,
    });
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            order = orders.recv() => {
                let Some(order) = order else { return };
                listener = obey(&order, listener, port, &state, &mut connections).await;
                // Nobody listens only when the test has already panicked.
                order.done.send(()).ok();
            }
            accepted = accept => if let Ok((client, _)) = accepted {
                counts.accepted.fetch_add(1, Ordering::SeqCst);
                let open = Open::new(&counts);
                connections.spawn(carry(client, target, state.subscribe(), open));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Does what the order says; returns the listener that there shall be from now on.
async fn obey(
    order: &Order,
    listener: Option<TcpListener>,
    port: u16,
    state: &watch::Sender<State>,
    connections: &mut JoinSet<()>,
) -> Option<TcpListener> {
    let mode = order.mode.unwrap_or(state.borrow().mode);
    let listener = match (mode, listener) {
        (Mode::Refuse, _) => None,
        (_, Some(listener)) => Some(listener),
        (_, None) => Some(
            ReservedPort::listen(port)
                .await
                .expect("the port is reserved"),
        ),
    };
    state.send_modify(|state| {
        state.mode = mode;
        if let Some(end) = order.end {
            state.end = end;
            state.generation += 1;
        }
    });
    if order.end.is_some() {
        while connections.join_next().await.is_some() {}
    }
    listener
}

/// Counts a connection as open.
struct Open(Arc<Counts>);

impl Open {
    fn new(counts: &Arc<Counts>) -> Self {
        counts.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counts))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Carries one connection to its end.
async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    state: watch::Receiver<State>,
    open: Open,
) {
    let own = state.borrow().generation;
    let mut watched = state.clone();
    let told_to_end = async move {
        let ended = watched.wait_for(|state| state.generation > own).await;
        ended.map_or(End::Close, |state| state.end)
    };
    tokio::pin!(told_to_end);

    let connected = tokio::select! {
        end = &mut told_to_end => Err(end),
        connected = TcpStream::connect(target) => connected.map_err(|_| End::Reset),
    };
    let mut server = match connected {
        Ok(server) => server,
        Err(end) => return finish(&client, end),
    };
    // Chunks are passed on as they come; a socket without this option would be delivered all the same, only later.
    drop((client.set_nodelay(true), server.set_nodelay(true)));

    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = pump(
            from_client,
            to_server,
            state.clone(),
            Some(&open.0.to_target),
            None,
        );
        let break_after = match state.borrow().mode {
            Mode::BreakAfter(bytes) => Some(bytes),
            _ => None,
        };
        let counter = Some(&open.0.from_target);
        let down = pump(from_server, to_client, state.clone(), counter, break_after);
        tokio::select! {
            end = told_to_end => end,
            ended = async { tokio::try_join!(up, down) } => match ended {
                Ok(_) => End::Close,
                Err(end) => end,
            },
        }
    };
    finish(&client, end);
    finish(&server, end);
}

fn finish(stream: &TcpStream, end: End) {
    if end == End::Reset {
        // Closing then sends RST. It fails only on a socket that is closed already.
        drop(stream.set_zero_linger());
    }
}

/// Carries one direction until it ends, as the mode says at each moment.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut state: watch::Receiver<State>,
    counter: Option<&AtomicU64>,
    mut left: Option<u64>,
) -> Result<(), End> {
    let mut buffer = vec![0; CHUNK];
    loop {
        // A tenth of a second's worth, so that a slow connection flows and does not lurch.
        let room = match state.borrow().mode {
            Mode::Limit(rate) => usize::try_from(rate / 10).unwrap_or(CHUNK).clamp(1, CHUNK),
            _ => CHUNK,
        };
        let buffer = buffer.get_mut(..room).unwrap_or_default();
        let length = from.read(buffer).await.map_err(|_| End::Reset)?;
        let mode = state.wait_for(|state| state.mode != Mode::Stall).await;
        match mode.map_or(Mode::Pass, |state| state.mode) {
            Mode::Delay(delay) => tokio::time::sleep(delay).await,
            Mode::Limit(rate) => {
                let micros = 1_000_000 * u64::try_from(length).unwrap_or_default() / rate;
                tokio::time::sleep(Duration::from_micros(micros)).await;
            }
            _ => {}
        }
        let mut bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            return to.shutdown().await.map_err(|_| End::Reset);
        }
        if let Some(left) = &mut left {
            let room = usize::try_from(*left).unwrap_or(usize::MAX);
            bytes = bytes.get(..room).unwrap_or(bytes);
            *left -= bytes.len() as u64;
        }
        // First the count: whoever has a byte finds it counted.
        if let Some(counter) = counter {
            counter.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        }
        to.write_all(bytes).await.map_err(|_| End::Reset)?;
        if left == Some(0) {
            // Lets the bytes before the break arrive: a reset would overtake them.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return Err(End::Reset);
        }
    }
}
