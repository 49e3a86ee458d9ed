//! A plug, relay or contactor over MQTT or Modbus TCP: any machine is at least switchable.
