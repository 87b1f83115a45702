interface Env {
  MODEL_URL: string;
  MODEL: string;
  MODEL_KEY?: string;
}
