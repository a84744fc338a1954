// The page's client, outside of a page: it opens again at once and after a while, whatever ended the connection before.
// Each message is a line of output.

import WebSocket from "ws";

const [url] = process.argv.slice(2);

function open() {
  const socket = new WebSocket(url);
  socket.on("open", () => console.log("open"));
  socket.on("message", (data) => console.log(`message ${data}`));
  socket.on("error", (error) => console.log(`error ${error.message}`));
  socket.on("close", (code) => {
    console.log(`close ${code}`);
    open();
    setTimeout(open, 1_000);
  });
}

open();
