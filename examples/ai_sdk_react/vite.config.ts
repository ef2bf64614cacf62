import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The key stays on this side: the page calls its own origin, and the proxy adds the header. In
// production your own back end does that, or the page sends its user's token.
const proxy = {
  "/v1": {
    target: process.env.BFF_URL ?? "http://127.0.0.1:8000",
    headers: { "X-API-Key": process.env.BFF_KEY ?? "" },
  },
};

export default defineConfig({ plugins: [react()], server: { proxy }, preview: { proxy } });
