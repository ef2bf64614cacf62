// One socket, many messages; after a break it connects again and resumes what was still open.
const byId = (id) => document.getElementById(id);
const open = new Map(); // run id -> the last event seen of it
let socket;

function connect(url, token, failures = 0) {
  // a browser cannot send headers here: the token travels as a sub-protocol, never in the address
  socket = new WebSocket(`${url}/v1/ws/chat`, ["chat.v1", `bearer.${token}`]);
  socket.onopen = () => {
    failures = 0;
    byId("state").value = "connected";
    for (const [run_id, after] of open) send({ type: "resume", run_id, after });
  };
  socket.onmessage = ({ data }) => show(JSON.parse(data));
  socket.onclose = ({ code }) => {
    byId("state").value = `closed (${code})`;
    const final = code === 4401 || code === 1008; // the token has expired, or we misbehaved
    const wait = Math.min(500 * 2 ** failures, 15_000) * (0.5 + Math.random());
    if (!final && failures < 10) setTimeout(() => connect(url, token, failures + 1), wait);
  };
}

const send = (frame) => socket.send(JSON.stringify(frame));
const print = (text) => byId("log").append(text);

function show({ event, id, run_id, data }) {
  if (run_id) open.set(run_id, id);
  if (event === "message") print(data.content);
  if (event === "tool_start") print(`[${data.tool} ${JSON.stringify(data.args)}`);
  if (event === "tool_end") print(` -> ${data.result ?? data.error}]\n`);
  if (event === "error") print(`\n${data.title}: ${data.detail}\n`);
  if (event === "done") print(`\n(${data.status})\n`);
  if (event === "done" || event === "error") open.delete(run_id);
}

byId("connect").onsubmit = (submit) => {
  submit.preventDefault();
  const { url, token } = submit.target.elements;
  connect(url.value, token.value);
};
byId("ask").onsubmit = (submit) => {
  submit.preventDefault();
  send({ type: "message", message: submit.target.elements.message.value });
};
byId("stop").onclick = () => {
  for (const run_id of open.keys()) send({ type: "cancel", run_id });
};
