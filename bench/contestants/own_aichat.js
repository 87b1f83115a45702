// AIChatAgent with a scripted model in the same worker.
import worker, { chatWith } from "./chat.js";
import { scriptedModel } from "./scripted.js";

export const Chat = chatWith(() => scriptedModel);

export default worker;
