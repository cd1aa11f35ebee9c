classdef RtfaceClient < handle
  % Keypoints of a running rtface, and its commands, in Octave and MATLAB. Needs a bridge of kind json in the rig's file:
  %
  %   publish: {bridges: [{kind: json}]}          or, without a rig:  rtface demo --bridges
  %
  %   client = RtfaceClient();                    % or RtfaceClient(JSON_ADDRESS, CONTROL_ADDRESS)
  %   points = client.next(1);                    % waits 1 s at most; [] when nothing came
  %   nose = points.xy(strcmp(client.names, 'nose(tip)'), :)
  %   client.mark('Ada', 'food');
  %   client.arm('Ada');                          % an error, 'rtface:not_ready', says what the self-test found
  %   client.close();
  %
  % Fields of points, beside those of docs/wire.md ("The JSON form"):
  %   xy       K x 2, single, pixels of the camera frame; NaN for a keypoint that was never trained
  %   score    K x 1, single, 0 to 1
  %   age_ms   now less the exposure of the frame; NaN before hello() has measured the service's clock
  %   missing  messages lost since the last one
  %   restarted  true when the service is another one: call hello() again

  properties (SetAccess = private)
    names = {}        % of the keypoints, in the order of xy
    session = ''
    clock_ms = NaN    % the offset of the service's clock is known to this
  end

  properties (Access = private)
    points
    commands
    began
    offset_s = NaN
    seq = -1
    last_id = 0
  end

  properties (Constant)
    TOPIC = 'json.1.keypoints'
    ANSWER_S = 5
    PINGS = 8
  end

  methods
    function self = RtfaceClient(json, control)
      % Connect and say hello.
      if nargin < 1
        json = 'tcp://127.0.0.1:5573';
      end
      if nargin < 2
        control = 'tcp://127.0.0.1:5571';
      end
      self.began = tic();
      self.points = RtfaceSocket('sub', json, {self.TOPIC});
      self.commands = RtfaceSocket('req', control);
      self.hello();
    end

    function found = hello(self)
      % Return what the service is, and measure its clock.
      found = self.request('hello');
      skeleton = found.skeleton;
      if iscell(skeleton)
        self.names = cellfun(@(each) each.name, skeleton, 'UniformOutput', false);
      else
        self.names = {skeleton.name};
      end
      best = Inf;
      for nonce = 1:self.PINGS
        before = toc(self.began);
        answer = self.request('ping', struct('nonce', nonce));
        after = toc(self.began);
        if after - before < best
          best = after - before;
          self.offset_s = answer.t_ns / 1e9 - (before + after) / 2;
        end
      end
      self.clock_ms = 1000 * best / 2;
    end

    function found = next(self, timeout_s)
      % Return the next keypoints, [] when none came within timeout_s.
      found = [];
      parts = self.points.receive(timeout_s);
      if numel(parts) < 2
        return
      end
      found = jsondecode(parts{2});
      if strcmp(found.topic, 'error')
        error(['rtface:' found.error.code], '%s', found.error.message);
      end
      found.xy = RtfaceClient.numbers(found.xy, 2);
      found.score = RtfaceClient.numbers(found.score, 1);
      found.age_ms = 1000 * (toc(self.began) + self.offset_s - found.t.exposure / 1e9);
      found.restarted = ~isempty(self.session) && ~strcmp(found.session, self.session);
      found.missing = 0;
      if self.seq >= 0 && ~found.restarted
        found.missing = found.seq - self.seq - 1;
      end
      self.session = found.session;
      self.seq = found.seq;
    end

    function result = mark(self, who, text, details)
      % Put a remark into the session's record, and out as an event; details: a struct.
      if nargin < 4
        details = struct();
      end
      result = self.request('mark', struct('who', who, 'text', text, 'details', details));
    end

    function result = arm(self, who)
      % Allow light.
      result = self.request('arm', struct('who', who));
    end

    function result = disarm(self, who, why)
      % Light off, and no more of it until somebody arms.
      result = self.request('disarm', struct('who', who, 'why', why));
    end

    function result = emergency_stop(self, who)
      % Light off, latched until clear.
      result = self.request('emergency_stop', struct('who', who));
    end

    function result = request(self, op, args)
      % Send any command of docs/wire.md, and return its result; errors have the identifier rtface:CODE.
      if nargin < 3
        args = struct();
      end
      self.last_id = self.last_id + 1;
      self.commands.send(jsonencode(struct('v', 1, 'id', self.last_id, 'op', op, 'args', args)));
      parts = self.commands.receive(self.ANSWER_S);
      if isempty(parts)
        self.commands.open();
        error('rtface:address_error', '%s: no answer within %g s; is rtface running there?', op, self.ANSWER_S);
      end
      reply = jsondecode(parts{1});
      if ~reply.ok
        error(['rtface:' reply.error.code], '%s', reply.error.message);
      end
      result = reply.result;
    end

    function close(self)
      % Close the sockets; may be called any number of times.
      self.points.close();
      self.commands.close();
    end
  end

  methods (Static, Access = private)
    function found = numbers(value, columns)
      % Return an array of JSON as numbers, one row a keypoint; what is null is NaN.
      if iscell(value)
        value = cellfun(@(each) RtfaceClient.row(each, columns), value(:), 'UniformOutput', false);
        value = vertcat(value{:});
      end
      % Single, as they were made: Octave's jsondecode may miss the last bit of a double, which this rounds away.
      found = single(reshape(value, [], columns));
    end

    function found = row(value, columns)
      if iscell(value) || isempty(value)
        found = NaN(1, columns);
      else
        found = reshape(double(value), 1, columns);
      end
    end
  end
end
