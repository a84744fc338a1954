// The page's client, outside of a page: it opens again at once and after a while, whatever ended the connection before.
// Each thing that happens is a line of output. It gives up after as many attempts as it is told, which the page does not.

import WebSocket from "ws";

const [url, attempts] = process.argv.slice(2);
let left = Number(attempts);

function open() {
  if (left-- <= 0) return;
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
