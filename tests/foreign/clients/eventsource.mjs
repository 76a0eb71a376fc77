// npm eventsource: the EventSource of browsers, for Node.
import { EventSource } from 'eventsource';

new EventSource(process.argv[2]).onmessage = ({ data }) => console.log(data);
