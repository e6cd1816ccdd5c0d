# nodb-trigger probe --subject 'ruby subject.rb'   (needs: gem install redis)
# Put your lock where it says HERE.
require "json"
require "redis"
require "securerandom"

DELETE_OWN = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"

class Client
  def initialize
    @redis = Redis.new(url: ENV.fetch("REDIS_URL"), reconnect_attempts: 0)
  end

  def acquire(lock, ttl_ms) # HERE: once, without waiting; true if acquired
    @token = SecureRandom.hex
    @redis.set(lock, @token, nx: true, px: ttl_ms)
  end

  def release(lock) # HERE: true if the lock was still its own
    @redis.eval(DELETE_OWN, keys: [lock], argv: [@token]) == 1
  end
end

def say(line)
  puts JSON.generate(line)
  $stdout.flush
end

client = Client.new
say(subject: "my lock")
$stdin.each_line do |line|
  told = JSON.parse(line)
  begin
    done = case told["do"]
           when "reset" then client = Client.new
           when "acquire" then client.acquire(told["lock"], told["ttl_ms"])
           when "release" then client.release(told["lock"])
           end
    say(ok: done ? true : false)
  rescue Redis::BaseError => e
    say(error: e.message)
  end
end
