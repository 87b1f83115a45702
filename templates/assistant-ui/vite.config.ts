import { cloudflare } from "@cloudflare/vite-plugin";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// On this machine everybody is let in. What is deployed stays closed until it is given credentials.
const onThisMachine = { config: { vars: { AUTH: "none" } } };

export default defineConfig(({ command }) => ({
  plugins: [react(), cloudflare(command === "serve" ? onThisMachine : {})],
}));
