// A server that leaves one kind of request unanswered, until a timer that is far off.
const http = require("http");
const server = http.createServer((request, response) => {
  if (request.url === "/slow") setTimeout(() => response.end("late"), 600000);
  else response.end("ok");
});
server.listen(0, process.argv[2], () => console.log(server.address().port));
