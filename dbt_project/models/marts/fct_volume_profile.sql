with features as (

    select * from {{ ref('stg_lake__contract_features') }}

),

-- nothing of a bucket that could not be compared is told by a null, not by a smaller sum
cells as (

    select
        underlying,
        session_date,
        event_at,
        slot,
        "right",
        moneyness_bucket,
        dte_bucket,
        is_simulated,
        interval_minutes,
        max(known_at) as known_at,
        count(*) as contracts,
        count(volume_contracts_netted) as contracts_compared,
        sum(volume_delta_contracts) as volume_contracts,
        sum(volume_contracts_netted) as volume_compared_contracts,
        sum(premium_usd) as premium_usd,
        sum(vega_traded_usd_per_vol_point) as vega_traded_usd_per_vol_point,
    from features
    group by all

),

-- the simulated market and the real one are never compared with each other
trailed as (

    select
        *,
        count(volume_compared_contracts) over earlier as trailing_sessions,
        median(volume_compared_contracts) over earlier as trailing_median_contracts,
    from cells
    window earlier as (
        partition by
            underlying, is_simulated, slot, "right", moneyness_bucket, dte_bucket
        order by session_date
        rows between {{ var('profile_sessions') }} preceding and 1 preceding
    )

),

final as (

    select
        -- keys
        concat_ws(
            '|', underlying, session_date, slot, "right", moneyness_bucket, dte_bucket
        ) as volume_profile_id,
        concat_ws('|', underlying, session_date) as session_id,
        underlying,
        session_date,
        event_at,
        known_at,
        slot,
        "right",
        moneyness_bucket,
        dte_bucket,

        -- poll
        is_simulated,
        interval_minutes,
        contracts,
        contracts_compared,

        -- volume
        volume_contracts,
        volume_compared_contracts,
        premium_usd,
        vega_traded_usd_per_vol_point,

        -- against the sessions before
        trailing_sessions,
        trailing_median_contracts,
        volume_compared_contracts / nullif(trailing_median_contracts, 0) as volume_over_median,
    from trailed

)

select * from final
