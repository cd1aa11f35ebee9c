classdef RtfaceSocket < handle
  % A ZeroMQ socket: of Octave's package zeromq, or of JeroMQ in MATLAB. Texts in, texts out, with a time limit.
  %
  % In Octave:  apt install octave octave-zeromq     (or: pkg install -forge zeromq)
  % In MATLAB:  javaaddpath('jeromq-0.6.0.jar')      (https://github.com/zeromq/jeromq, one file)
  % JeroMQ was never run with this file: rtface's tests have Octave alone.

  properties (Access = private)
    kind
    address
    topics = {}
    socket = []
    context = []
  end

  properties (Constant, Access = private)
    MOST_BYTES = 2 ^ 20   % the largest body that rtface sends
  end

  methods
    function self = RtfaceSocket(kind, address, topics)
      % kind: 'sub' or 'req'; topics: cell array of texts, for 'sub'.
      self.kind = kind;
      self.address = address;
      if nargin > 2
        self.topics = topics;
      end
      self.open();
    end

    function open(self)
      % Connect; also again, after a request that was not answered.
      self.close();
      if RtfaceSocket.in_octave()
        if exist('zmq_socket') == 0
          pkg load zeromq
        end
        if strcmp(self.kind, 'sub')
          self.socket = zmq_socket(ZMQ_SUB);
          for each = 1:numel(self.topics)
            zmq_setsockopt(self.socket, ZMQ_SUBSCRIBE, self.topics{each});
          end
        else
          self.socket = zmq_socket(ZMQ_REQ);
        end
        zmq_connect(self.socket, self.address);
      else
        self.context = org.zeromq.ZContext();
        if strcmp(self.kind, 'sub')
          self.socket = self.context.createSocket(org.zeromq.SocketType.SUB);
          for each = 1:numel(self.topics)
            self.socket.subscribe(self.topics{each});
          end
        else
          self.socket = self.context.createSocket(org.zeromq.SocketType.REQ);
        end
        self.socket.connect(self.address);
      end
    end

    function send(self, text)
      % Send a text.
      if RtfaceSocket.in_octave()
        zmq_send(self.socket, text);
      else
        self.socket.send(unicode2native(text, 'UTF-8'), 0);
      end
    end

    function parts = receive(self, timeout_s)
      % Return the parts of the next message as texts; empty when none came in time.
      parts = {};
      if RtfaceSocket.in_octave()
        if ~zmq_poll(self.socket, round(timeout_s * 1000))
          return
        end
        more = 1;
        while more
          parts{end + 1} = char(zmq_recv(self.socket, self.MOST_BYTES));
          more = zmq_getsockopt(self.socket, ZMQ_RCVMORE);
        end
      else
        self.socket.setReceiveTimeOut(round(timeout_s * 1000));
        bytes = self.socket.recv(0);
        while ~isempty(bytes)
          parts{end + 1} = native2unicode(typecast(bytes(:)', 'uint8'), 'UTF-8');
          if ~self.socket.hasReceiveMore()
            return
          end
          bytes = self.socket.recv(0);
        end
      end
    end

    function close(self)
      % Close; may be called any number of times.
      if isempty(self.socket)
        return
      end
      if RtfaceSocket.in_octave()
        zmq_close(self.socket);
      else
        self.context.close();
      end
      self.socket = [];
    end
  end

  methods (Static)
    function found = in_octave()
      found = exist('OCTAVE_VERSION', 'builtin') ~= 0;
    end
  end
end
