//! The `forward` command: copies bytes between each client and a connection of
//! its own to a server. Knows nothing of memcache: what a proxy costs that does
//! nothing else.

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

use crate::Failure;
use crate::cli::Forward;

/// Bytes copied at once, each way.
const BUFFER_BYTES: usize = 64 << 10;

/// Forwards until it is ended.
pub(crate) async fn forward(args: &Forward) -> Result<(), Failure> {
    let listener = TcpListener::bind(&args.listen).await?;
    loop {
        let (client, _) = listener.accept().await?;
        let server = args.upstream.clone();
        tokio::spawn(async move {
            // Either side may go at any time; then so does the other.
            let _ = pair(client, &server).await;
        });
    }
}

async fn pair(mut client: TcpStream, server: &str) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES).await?;
    Ok(())
}
